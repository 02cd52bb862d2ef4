//! The power goes before and after each commit of a day at the register: a sale, some of it back, cash into the drawer, the end of the
//! shift (F01). Started anew, everything happens once; people repeat only what they were not told of.

use super::bench::Bench;
use kassad::domain::ids::FiscalId;
use kassad::domain::money::Tiyn;
use kassad::ledger::Gate;
use kassad::ledger::fiscal::Act;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Points are counted over all lives; one of them is a power cut.
fn fuse(last: u64) -> (Gate, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    (Arc::new(move |_| counted.fetch_add(1, Ordering::SeqCst) + 1 != last), count)
}

/// A person does something until somebody tells that it is done; what is on the list already is not done again.
async fn by_hand(bench: &mut Bench, act: Act, sale: Option<FiscalId>) -> FiscalId {
    loop {
        bench.revive().await;
        if let Some(known) = bench.rows().into_iter().find(|row| row.act == act) {
            return known.id;
        }
        let done = match (act, sale) {
            (Act::Sale, _) => bench.sell("A-1").await,
            (Act::Return, Some(sale)) => bench.give_back(sale, Some(Tiyn(210_000)), "A-1").await,
            (Act::CashIn, _) => bench.put_cash(true).await,
            (Act::Z, _) => bench.close_shift().await,
            (Act::Return | Act::CashOut | Act::X, _) => panic!("nobody does {act:?} here"),
        };
        if let Ok(id) = done {
            return id;
        }
    }
}

/// Returns how many points the day had.
async fn day(last: u64, with_data: bool) -> u64 {
    let (gate, count) = fuse(last);
    let mut bench = Bench::build(|options| options.answers_14_with_data = with_data, gate).await;
    let mut sale = None;
    for act in [Act::Sale, Act::Return, Act::CashIn, Act::Z] {
        let id = by_hand(&mut bench, act, sale).await;
        sale = sale.or(Some(id));
        bench.until_registered(id).await;
        bench.is_registered_once(id, &format!("power cut at point {last}"));
    }
    let points = count.load(Ordering::SeqCst);
    bench.close().await;
    points
}

#[tokio::test]
async fn f01_the_power_goes_at_every_commit_and_everything_is_registered_once() {
    for with_data in [true, false] {
        let points = day(0, with_data).await;
        assert!(points >= 20, "{points}");
        for last in 1..=points {
            let passed = day(last, with_data).await;
            assert!(passed >= last, "the power never went at {last}");
        }
        println!("{points} points");
    }
}
