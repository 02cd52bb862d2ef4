//! The wire breaks at every byte of a document's way: on the request, on the answer, while the daemon lives on or dies with it, at a
//! register that tells what it knows of a known key and at one that does not (F01, F25, F26; fiscal-kz §1.11).

use super::bench::{Bench, Cut};
use kassad::domain::ids::FiscalId;
use kassad::domain::money::Tiyn;
use kassad::ledger::fiscal::Act as Written;

/// What goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Of a sale with an ended login: the refusal, the login, the document.
    SaleWithLogin,
    Sale,
    Return,
    CashIn,
    Z,
}

/// What is cut of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request,
    Answer,
}

/// Cases that one register and one ledger see; then there is a new one, so that neither grows slow.
const CASES_MAX: usize = 400;

/// The four worlds: the register answers 14 with data or without, the daemon lives on or dies with the wire.
const WORLDS: [(bool, bool); 4] = [(true, false), (false, true), (true, true), (false, false)];

/// A small part of a receipt goes back, so that one receipt is enough for many returns.
const RETURNED: Tiyn = Tiyn(10_000);

/// Documents after which there is a new receipt to give back.
const RETURNS_MAX: usize = 30;

fn last_sale(bench: &Bench) -> Option<FiscalId> {
    bench.rows().into_iter().rfind(|row| row.act == Written::Sale).map(|row| row.id)
}

/// An order is sold over a whole wire.
async fn sell_whole(bench: &mut Bench) {
    bench.wire.arm(0, Cut::Nowhere, None);
    let name = bench.next_name();
    let sale = bench.sell(&name).await.unwrap();
    bench.until_registered(sale).await;
}

async fn begin(bench: &mut Bench, act: Act) -> FiscalId {
    let name = bench.next_name();
    match act {
        Act::SaleWithLogin | Act::Sale => bench.sell(&name).await.unwrap(),
        Act::Return => {
            let sale = last_sale(bench).unwrap();
            bench.give_back(sale, Some(RETURNED), &name).await.unwrap()
        }
        Act::CashIn => bench.put_cash(true).await.unwrap(),
        Act::Z => bench.close_shift().await.unwrap(),
    }
}

/// What must be there before: a receipt to give back, a shift to close.
async fn prepare(bench: &mut Bench, act: Act) {
    bench.wire.arm(0, Cut::Nowhere, None);
    let needs_sale = match act {
        Act::Return => bench.rows().len() % RETURNS_MAX == 1,
        Act::Z => true,
        Act::SaleWithLogin | Act::Sale | Act::CashIn => false,
    };
    if needs_sale {
        sell_whole(bench).await;
    }
    if act == Act::SaleWithLogin {
        bench.sandbox().expire_tokens();
    }
}

/// One document over a wire that breaks. Whether it did: beyond the last byte there is nothing to break.
async fn break_once(bench: &mut Bench, act: Act, skip: usize, cut: Cut, (with_data, dies): (bool, bool)) -> bool {
    prepare(bench, act).await;
    bench.sandbox().set_answers_14_with_data(with_data);
    let power = dies.then(|| bench.power());
    bench.wire.arm(skip, cut, power);
    let id = begin(bench, act).await;
    bench.until_registered(id).await;
    bench.is_registered_once(id, &format!("{act:?}, connection {skip}, {cut:?}, data {with_data}, dies {dies}"));
    bench.wire.was_cut()
}

/// Every byte of one connection of a document's way, each in so many of the four worlds, which take turns.
async fn break_everywhere(act: Act, skip: usize, side: Side, worlds: usize) -> usize {
    let mut bench = Bench::open().await;
    // The first document of a life logs in.
    sell_whole(&mut bench).await;
    let (mut broken, mut cases) = (0, 0);
    for bytes in 0.. {
        let cut = if side == Side::Request { Cut::Request(bytes) } else { Cut::Answer(bytes) };
        let mut was_cut = false;
        for turn in 0..worlds {
            was_cut |= break_once(&mut bench, act, skip, cut, WORLDS[(bytes + turn) % WORLDS.len()]).await;
            cases += 1;
        }
        if !was_cut {
            break;
        }
        broken += 1;
        if cases > CASES_MAX {
            cases = 0;
            std::mem::replace(&mut bench, Bench::open().await).close().await;
            sell_whole(&mut bench).await;
        }
    }
    bench.close().await;
    println!("{act:?}, connection {skip}, {side:?}: {broken} places in {worlds} worlds");
    broken
}

#[tokio::test]
async fn f01_a_login_is_cut_at_every_byte_and_its_sale_is_registered_once() {
    // The refusal of the ended login, and the new login; the document again is cut in the next two tests.
    let mut places = 0;
    for (skip, worlds) in [(0, 1), (1, 2)] {
        places += break_everywhere(Act::SaleWithLogin, skip, Side::Request, worlds).await;
        places += break_everywhere(Act::SaleWithLogin, skip, Side::Answer, worlds).await;
    }
    assert!(places > 1_200, "{places}");
}

#[tokio::test]
async fn f01_the_request_of_a_sale_is_cut_at_every_byte_and_it_is_registered_once() {
    let places = break_everywhere(Act::Sale, 0, Side::Request, 4).await;
    assert!(places > 600, "{places}");
}

#[tokio::test]
async fn f01_the_answer_to_a_sale_is_cut_at_every_byte_and_it_is_registered_once() {
    let places = break_everywhere(Act::Sale, 0, Side::Answer, 1).await;
    assert!(places > 2_000, "{places}");
}

#[tokio::test]
async fn f25_a_return_is_cut_at_every_byte_and_it_is_registered_once() {
    let there = break_everywhere(Act::Return, 0, Side::Request, 1).await;
    let back = break_everywhere(Act::Return, 0, Side::Answer, 1).await;
    assert!(there > 600 && back > 2_000, "{there} there, {back} back");
}

#[tokio::test]
async fn f26_cash_and_the_end_of_a_shift_are_cut_at_every_byte_and_happen_once() {
    let mut places = Vec::new();
    for (act, worlds) in [(Act::CashIn, 1), (Act::Z, 1)] {
        places.push(break_everywhere(act, 0, Side::Request, worlds).await);
        places.push(break_everywhere(act, 0, Side::Answer, worlds).await);
    }
    assert!(places.iter().all(|places| *places > 200), "{places:?}");
}
