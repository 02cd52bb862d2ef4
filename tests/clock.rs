//! F12: wall clocks that are wrong, and that jump in the middle of a payment. The same final states as with a right one; only labels
//! differ, and none is earlier than one that was committed before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::shop::Counter;
use kassad::domain::time::Wall;
use kassad::host::floor::Trust;
use kassad::ledger::Reader;
use std::time::Duration;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// 2000-01-01, a usual date of a box without a battery.
const YEAR_2000: Wall = Wall(946_684_800_000);
/// A date at which an image may have been built: 2026-03-01.
const BUILD_DATE: Wall = Wall(1_772_323_200_000);

/// Labels of the journal in the order in which they were committed, and how many of its rows tell of the clock.
fn labels(shop: &Counter) -> (Vec<i64>, i64) {
    let reader = Reader::open(&shop.config().ledger).unwrap();
    drop(reader);
    let ledger = rusqlite::Connection::open(&shop.config().ledger).unwrap();
    let mut query = ledger.prepare("SELECT at FROM journal ORDER BY seq").unwrap();
    let labels = query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let told = ledger.query_row("SELECT count(*) FROM journal WHERE kind = 'clock'", [], |row| row.get(0)).unwrap();
    (labels, told)
}

/// One sale by terminal and one by phone invoice, with whatever the clock does in the middle of both.
async fn sells_both_ways(shop: &Counter, jump: impl Fn(&Counter)) {
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "waiting").await;
    jump(shop);
    assert!(shop.till().guest_pays_qr());
    shop.is_sold_once(order, &id, 0, 6100).await;
    let second = shop.order();
    let invoice = shop.pay(second, "kaspi_invoice").await;
    shop.until_state(&invoice, "waiting").await;
    jump(shop);
    shop.aipay().guest_pays(&shop.invoice().id);
    shop.until_done(&invoice).await;
    assert_eq!((shop.in_pos(second).closes, shop.in_pos(second).status), (1, 2));
    assert_eq!(shop.aipay().invoices().len(), 1);
    assert_eq!(shop.till().operations().len(), 1);
    assert_eq!(shop.questions().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_jumps_in_the_middle_of_a_payment_change_no_outcome() {
    for by_ms in [HOUR_MS, -HOUR_MS, DAY_MS, -DAY_MS] {
        let shop = Counter::open().await;
        sells_both_ways(&shop, |shop| shop.clock.jump(shop.clock.told_wall().plus_ms(by_ms))).await;
        shop.until("the jump is on record", async || labels(&shop).1 >= 1).await;
        let (labels, _) = labels(&shop);
        assert!(labels.is_sorted(), "no label is earlier than the one before: {by_ms}");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_a_box_that_starts_at_a_wrong_time_sells_as_at_the_right_one() {
    let ten_years_on = Wall(crate::shop::NOON.0 + 3652 * DAY_MS);
    for wall in [Wall(0), YEAR_2000, BUILD_DATE, ten_years_on] {
        let mut shop = Counter::open().await;
        let order = shop.order();
        let id = shop.pay(order, "kaspi_terminal").await;
        shop.until_state(&id, "waiting").await;
        let before = labels(&shop).0.last().copied().unwrap();
        shop.clock.jump(wall);
        shop.power_cut().await;
        assert!(shop.till().guest_pays_card());
        shop.is_sold_once(order, &id, 0, 6100).await;
        let labels = labels(&shop).0;
        assert!(labels.is_sorted() && *labels.last().unwrap() >= before, "from {wall:?}");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_a_clock_that_is_behind_is_yellow_until_it_is_set() {
    let shop = Counter::open().await;
    let order = shop.order();
    shop.pay(order, "cash").await;
    shop.clock.jump(YEAR_2000);
    let shown = async |shop: &Counter| {
        let status = shop.get("/api/v1/status").await.body;
        let devices = status["devices"].as_array().cloned().unwrap_or_default();
        devices.into_iter().find(|device| device["name"] == "clock").unwrap_or_default()
    };
    shop.until("the page says so", async || shown(&shop).await["state"] == "warn").await;
    let text = shown(&shop).await["text"].as_str().unwrap().to_owned();
    assert!(text.contains("01.01.2000"), "{text}");
    assert!(shop.clock.wall() >= crate::shop::NOON, "labels stay where they were");
    // Somebody switches the network on: the time is set, and believed.
    shop.clock.jump(Wall(crate::shop::NOON.0 + HOUR_MS));
    shop.clock.tell_trust(Trust::Synced);
    shop.until("all is well again", async || shown(&shop).await["state"] == "up").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_an_unsent_invoice_is_not_lapsed_by_a_jump() {
    let mut shop = Counter::open().await;
    let order = shop.order();
    shop.aipay().faults().set_down(true);
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.pass(Duration::from_secs(20), Duration::from_secs(1)).await;
    // Between two tries: the clock stands from here on, so that none is on its way when the power goes.
    shop.until_state(&id, "planned").await;
    shop.clock.jump(Wall(crate::shop::NOON.0 + DAY_MS));
    shop.power_cut().await;
    shop.pass(Duration::from_secs(20), Duration::from_secs(1)).await;
    assert_eq!(shop.payment(&id).await["amount_paid"], serde_json::Value::Null);
    assert!(!shop.is(&id, "expired").await, "a day that nobody lived through ends nothing");
    shop.aipay().faults().set_down(false);
    shop.until_state(&id, "waiting").await;
    shop.aipay().guest_pays(&shop.invoice().id);
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}
