//! What goes wrong at one call: a lost or strange answer, a server that is down, an ended login, an error without a name (fiscal-kz §1.9,
//! §1.11). Whatever it is and wherever it strikes, a document is registered once, and nobody is asked.

use super::bench::{Bench, Cut};
use kassad::domain::ids::FiscalId;
use kassad::domain::money::Tiyn;
use kassad::sandbox::faults::Fault;

const FAULTS: [Fault; 7] = [
    Fault::LoseReply,
    Fault::DropBefore,
    Fault::Garbage,
    Fault::Truncated,
    Fault::Stall,
    Fault::Status(502),
    Fault::Status(403),
];

/// Calls, with the document that leads to them.
const CALLS: [(&str, Doc); 10] = [
    ("authorize", Doc::Sale),
    ("check", Doc::Sale),
    ("check", Doc::Return),
    ("print_format", Doc::Sale),
    ("by_external", Doc::Return),
    ("history", Doc::Sale),
    ("shift_history", Doc::Return),
    ("money", Doc::Cash),
    ("z", Doc::Z),
    ("z_by_shift", Doc::Z),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doc {
    Sale,
    Return,
    Cash,
    Z,
}

async fn begin(bench: &mut Bench, doc: Doc, sale: FiscalId) -> FiscalId {
    let name = bench.next_name();
    match doc {
        Doc::Sale => bench.sell(&name).await.unwrap(),
        Doc::Return => bench.give_back(sale, Some(Tiyn(10_000)), &name).await.unwrap(),
        Doc::Cash => bench.put_cash(true).await.unwrap(),
        Doc::Z => bench.close_shift().await.unwrap(),
    }
}

async fn sold(bench: &mut Bench) -> FiscalId {
    let name = bench.next_name();
    let sale = bench.sell(&name).await.unwrap();
    bench.until_registered(sale).await;
    sale
}

#[tokio::test]
async fn f26_whatever_goes_wrong_at_whatever_call_everything_is_registered_once() {
    let mut cases = 0;
    for with_data in [true, false] {
        let mut bench =
            Bench::build(|options| options.answers_14_with_data = with_data, kassad::ledger::open_gate()).await;
        for (call, doc) in CALLS {
            for fault in FAULTS {
                // Only a register that keeps to itself what it knows is looked through.
                let is_look_up = ["print_format", "by_external", "history", "shift_history"].contains(&call);
                if is_look_up && with_data {
                    continue;
                }
                let sale = sold(&mut bench).await;
                let faults = bench.sandbox().faults().clone();
                let fired = |fault: Fault| faults.fired().get(fault.word()).copied().unwrap_or_default();
                if call == "authorize" {
                    bench.sandbox().expire_tokens();
                }
                if is_look_up {
                    faults.once("check", Fault::LoseReply);
                }
                if ["history", "shift_history"].contains(&call) {
                    faults.once("print_format", Fault::Status(503));
                }
                if call == "z_by_shift" {
                    faults.once("z", Fault::LoseReply);
                }
                let before = fired(fault);
                faults.once(call, fault);
                let id = begin(&mut bench, doc, sale).await;
                if fault == Fault::Stall {
                    hang(&mut bench, before).await;
                }
                bench.until_registered(id).await;
                let how = format!("{fault:?} at {call} of {doc:?}, data {with_data}");
                bench.is_registered_once(id, &how);
                assert!(fired(fault) > before, "{how}: it never struck");
                cases += 1;
            }
        }
        bench.close().await;
    }
    println!("{cases} cases");
    assert_eq!(cases, 2 * 7 * 10 - 7 * 4);
}

/// Lets time go by until a call hangs, and breaks its wire.
async fn hang(bench: &mut Bench, before: u64) {
    let hangs = |bench: &Bench| bench.sandbox().faults().fired().get("stall").copied().unwrap_or_default() > before;
    bench.until("a call hangs", hangs).await;
    bench.wire.snap();
}

#[tokio::test]
async fn f26_an_error_without_a_name_may_have_made_the_document_or_not() {
    let mut bench = Bench::open().await;
    for is_made in [true, false] {
        for with_data in [true, false] {
            bench.sandbox().set_answers_14_with_data(with_data);
            for doc in [Doc::Sale, Doc::Return, Doc::Cash, Doc::Z] {
                let sale = sold(&mut bench).await;
                bench.sandbox().answer_unknown_once(is_made);
                let id = begin(&mut bench, doc, sale).await;
                bench.until_registered(id).await;
                bench.is_registered_once(id, &format!("-1 for {doc:?}, made {is_made}, data {with_data}"));
            }
        }
    }
    bench.close().await;
}

#[tokio::test]
async fn f26_another_host_and_an_ended_login_cost_time_and_nothing_else() {
    let mut bench = Bench::open().await;
    for hosts in [&[][..], &["evil.example"], &["127.0.0.1:9"]] {
        for doc in [Doc::Sale, Doc::Return, Doc::Cash, Doc::Z] {
            let sale = sold(&mut bench).await;
            bench.sandbox().answer_505_once(hosts);
            let id = begin(&mut bench, doc, sale).await;
            bench.until_registered(id).await;
            bench.is_registered_once(id, &format!("505 with {hosts:?} for {doc:?}"));
        }
    }
    // The login ends while nobody knows what became of the document.
    for with_data in [true, false] {
        bench.sandbox().set_answers_14_with_data(with_data);
        for doc in [Doc::Sale, Doc::Return, Doc::Cash, Doc::Z] {
            let sale = sold(&mut bench).await;
            let call = match doc {
                Doc::Sale | Doc::Return => "check",
                Doc::Cash => "money",
                Doc::Z => "z",
            };
            bench.sandbox().faults().once(call, Fault::LoseReply);
            let before = bench.sandbox().faults().fired().get("lose_reply").copied().unwrap_or_default();
            let id = begin(&mut bench, doc, sale).await;
            bench
                .until("the answer is lost", |bench| {
                    bench.sandbox().faults().fired().get("lose_reply").copied().unwrap_or_default() > before
                })
                .await;
            bench.sandbox().expire_tokens();
            bench.until_registered(id).await;
            bench.is_registered_once(id, &format!("an ended login in the middle of {doc:?}, data {with_data}"));
        }
    }
    bench.close().await;
}

#[tokio::test]
async fn f25_a_shift_of_more_than_a_day_is_closed_and_the_sale_follows() {
    for lost in [None, Some("check"), Some("z")] {
        let mut bench = Bench::open().await;
        sold(&mut bench).await;
        bench.clock.advance(std::time::Duration::from_secs(25 * 3600));
        if let Some(call) = lost {
            bench.sandbox().faults().once(call, Fault::LoseReply);
        }
        bench.wire.arm(0, Cut::Nowhere, None);
        let name = bench.next_name();
        let id = bench.sell(&name).await.unwrap();
        bench.until_registered(id).await;
        bench.is_registered_once(id, &format!("lost {lost:?}"));
        let kept = bench.sandbox().receipts();
        assert_eq!(kept.iter().map(|one| one.shift).collect::<Vec<_>>(), [1, 2]);
        bench.close().await;
    }
}
