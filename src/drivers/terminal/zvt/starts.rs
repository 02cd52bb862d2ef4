//! What a ZVT terminal did while nobody listened (F07, F08). It takes no name of ours, so each start is written down durably with the
//! last transaction before it; the one after it, or the one before the next start, tells what became of it. Only exactly one newer
//! transaction with our sum proves a payment; everything that could be somebody else's is for a person.

use super::packet::{StatusInfo, result_word};
use crate::domain::attempt::Evidence;
use crate::domain::ids::{Handle, Reference};
use crate::domain::money::Tiyn;
use crate::domain::outcome::Reason;
use crate::drivers::{Asked, Standing};
use serde::{Deserialize, Serialize};

/// How many starts are remembered: more than are asked about in a day of 24 hours after they became unclear.
pub const STARTS_MAX: usize = 64;
/// Receipt numbers have four digits and begin again at 1.
const RECEIPT_MAX: u16 = 9999;

/// A transaction as the terminal tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// 0 is success.
    pub result: u8,
    /// In tiyn.
    pub amount: Option<i64>,
    /// The receipt's number; a failed transaction may have none.
    pub receipt: Option<u16>,
    /// The number of the exchange with the bank.
    pub trace: Option<u32>,
    /// Card and terminal, for people.
    pub detail: String,
}

/// The last transaction of a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Anchor {
    /// It has none.
    Empty,
    /// This one.
    Mark(Mark),
    /// It cannot or does not tell.
    Blind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Start {
    handle: String,
    before: Anchor,
}

/// The starts that are remembered, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    starts: Vec<Start>,
    /// The last receipt number before our last end of day.
    settled: Option<u16>,
}

impl Mark {
    /// What a status information proves; `None` where its result cannot be read, or nothing tells it from another transaction.
    pub fn of(info: &StatusInfo) -> Option<Mark> {
        let is_named = info.receipt.is_some() || (info.result != Some(0) && info.trace.is_some());
        let card = info.card_end.as_ref().map(|end| format!("card *{end}"));
        let terminal = info.terminal.map(|number| format!("terminal {number}"));
        let parts = [info.card_name.clone(), card, terminal].into_iter().flatten();
        Some(Mark {
            result: info.result?,
            amount: info.amount.map(|amount| amount.0),
            receipt: info.receipt,
            trace: info.trace,
            detail: parts.collect::<Vec<_>>().join(", "),
        })
        .filter(|_| is_named)
    }

    /// The transaction number for the books and for a reversal: `0042/000117`.
    pub fn number(&self) -> String {
        let trace = self.trace.map(|trace| format!("/{trace:06}")).unwrap_or_default();
        self.receipt.map_or(trace.clone(), |receipt| format!("{receipt:04}{trace}"))
    }

    /// As proof of a payment; `None` where the sum was not told.
    pub fn evidence(&self) -> Option<Evidence> {
        Some(Evidence {
            amount: Tiyn(self.amount?),
            method: "card".to_owned(),
            transaction: self.number(),
            source: "terminal".to_owned(),
            detail: self.detail.clone(),
            tendered: None,
        })
    }

    /// Why it failed.
    pub fn failure(&self) -> Reason {
        failure(self.result)
    }
}

/// The end of a transaction without success.
pub fn failure(code: u8) -> Reason {
    let known = match code {
        0x6C => "cancelled",
        _ => "terminal_failed",
    };
    Reason::new(known, format!("{code:02X} {}", result_word(code).unwrap_or("of no table")))
}

/// The receipt number of a transaction number.
pub fn receipt_of(transaction: &str) -> Option<u16> {
    transaction.split('/').next()?.parse().ok().filter(|receipt| (1..=RECEIPT_MAX).contains(receipt))
}

impl Anchor {
    /// The name by which a start after this can be asked about.
    pub fn handle(&self, reference: &Reference) -> Handle {
        let before = match self {
            Anchor::Empty => "empty".to_owned(),
            Anchor::Blind => "blind".to_owned(),
            Anchor::Mark(mark) => mark.number(),
        };
        Handle(format!("{before}.{reference}"))
    }
}

impl Starts {
    /// Reads what the vault kept; a text that cannot be read is an empty memory, which only makes more unclear.
    pub fn from_text(text: &str) -> Starts {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// As the vault keeps it.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Remembers a start and what was last before it.
    pub fn note(&mut self, handle: &Handle, before: &Anchor) {
        self.starts.retain(|start| start.handle != handle.0);
        self.starts.push(Start { handle: handle.0.clone(), before: before.clone() });
        let surplus = self.starts.len().saturating_sub(STARTS_MAX);
        self.starts.drain(..surplus);
    }

    /// The end of day was made: what came before it cannot be reversed any more.
    pub fn settle(&mut self, last: &Anchor) {
        self.settled = match last {
            Anchor::Mark(mark) => mark.receipt,
            Anchor::Empty | Anchor::Blind => self.settled,
        };
    }

    /// Whether a receipt is of the terminal's current shift, as far as we know.
    pub fn is_of_this_shift(&self, receipt: u16) -> bool {
        // Half a round of the numbers ahead is "after".
        self.settled.is_none_or(|settled| (1..=RECEIPT_MAX / 2).contains(&steps(settled, receipt)))
    }

    /// What became of a start, where the terminal is at rest and `last` is its last transaction now.
    pub fn judge(&self, asked: &Asked, last: &Anchor) -> Standing {
        let place = self.starts.iter().rposition(|start| start.handle == asked.handle.0);
        let Some((start, next)) = place.and_then(|place| Some((self.starts.get(place)?, self.starts.get(place + 1))))
        else {
            // Without the memory of what else was started, a newer transaction may be anybody's.
            return other("this start is not remembered");
        };
        // What happened after the next start began is the next one's.
        compare(&start.before, next.map_or(last, |next| &next.before), asked.amount)
    }
}

fn compare(before: &Anchor, after: &Anchor, amount: Tiyn) -> Standing {
    match (before, after) {
        (Anchor::Blind, _) | (_, Anchor::Blind) => {
            Standing::Unclear(Reason::new("no_last_result", "the terminal does not tell its last transaction"))
        }
        // The terminal answers on the same line after our command, is at rest, and nothing newer is in its memory: whatever of the
        // command arrived was not carried out, and a line that was silent delivers nothing later.
        (Anchor::Empty, Anchor::Empty) => not_done(),
        (Anchor::Mark(was), Anchor::Mark(is)) if was == is => not_done(),
        (Anchor::Mark(_), Anchor::Empty) => other("its memory was cleared meanwhile"),
        (Anchor::Empty, Anchor::Mark(is)) if is.receipt == Some(1) || is.result != 0 => newer(is, amount),
        (Anchor::Empty, Anchor::Mark(_)) => other("more than one transaction may be newer"),
        (Anchor::Mark(was), Anchor::Mark(is)) => match (was.receipt, is.receipt) {
            (Some(old), Some(new)) if steps(old, new) == 1 => newer(is, amount),
            // A failure that took no receipt number of its own, or shows the last one.
            (Some(old), Some(new)) if old == new && was.trace != is.trace && is.result != 0 => newer(is, amount),
            (_, None) if was.trace != is.trace && is.result != 0 => newer(is, amount),
            (Some(_) | None, Some(_) | None) => other("the last transaction is not the one after ours began"),
        },
    }
}

/// The one transaction after the start.
fn newer(is: &Mark, amount: Tiyn) -> Standing {
    match (is.result, is.amount) {
        (0, Some(sum)) if sum == amount.0 => is.evidence().map_or_else(|| other("no sum"), Standing::Paid),
        (0, Some(sum)) => other(&format!("it took {} ₸", Tiyn(sum).decimal())),
        (0, None) => Standing::Unclear(Reason::new("amount_unread", "the last transaction has no sum")),
        (_, Some(sum)) if sum != amount.0 => other("a failure of another sum"),
        (_, Some(_) | None) => Standing::Failed(is.failure()),
    }
}

fn not_done() -> Standing {
    Standing::Failed(Reason::new(
        "not_done",
        "the terminal is at rest, and its last transaction is the one before ours",
    ))
}

fn other(why: &str) -> Standing {
    Standing::Unclear(Reason::new("other_transaction", why))
}

/// How many receipts lie between two numbers, around the end of their round.
fn steps(from: u16, to: u16) -> u16 {
    if to >= from { to - from } else { to + (RECEIPT_MAX - from.min(RECEIPT_MAX)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::drivers::Act;

    fn mark(receipt: u16, trace: u32, result: u8, amount: i64) -> Anchor {
        let detail = String::new();
        Anchor::Mark(Mark { result, amount: Some(amount), receipt: Some(receipt), trace: Some(trace), detail })
    }

    fn judged(before: &Anchor, last: &Anchor) -> &'static str {
        let handle = before.handle(&Reference("shop-1-1-1".into()));
        let mut starts = Starts::default();
        starts.note(&handle, before);
        let starts = Starts::from_text(&starts.to_text());
        word(&starts.judge(&Asked { act: Act::Payment, handle, amount: Tiyn(5000) }, last))
    }

    fn word(standing: &Standing) -> &'static str {
        match standing {
            Standing::Paid(_) => "paid",
            Standing::Failed(_) => "failed",
            Standing::Unclear(_) => "unclear",
            Standing::Pending(_) | Standing::Cancelled(_) | Standing::Expired(_) => "never",
        }
    }

    #[test]
    fn f08_only_the_one_after_ours_proves_anything() {
        let before = mark(41, 100, 0, 5000);
        for (last, told) in [
            (before.clone(), "failed"),
            (mark(42, 101, 0, 5000), "paid"),
            (mark(42, 103, 0, 5000), "paid"),
            (mark(42, 101, 0x05, 5000), "failed"),
            (mark(41, 101, 0x05, 5000), "failed"),
            (mark(41, 101, 0, 5000), "unclear"),
            (mark(42, 101, 0, 4900), "unclear"),
            (mark(42, 101, 0x05, 4900), "unclear"),
            (mark(43, 102, 0, 5000), "unclear"),
            (mark(40, 99, 0, 5000), "unclear"),
            (Anchor::Empty, "unclear"),
            (Anchor::Blind, "unclear"),
        ] {
            assert_eq!(judged(&before, &last), told, "{last:?}");
        }
        assert_eq!(judged(&Anchor::Empty, &mark(1, 1, 0, 5000)), "paid");
        assert_eq!(judged(&Anchor::Empty, &mark(2, 2, 0, 5000)), "unclear");
        assert_eq!(judged(&Anchor::Empty, &Anchor::Empty), "failed");
        assert_eq!(judged(&mark(9999, 7, 0, 1), &mark(1, 8, 0, 5000)), "paid");
    }

    #[test]
    fn what_the_next_start_did_is_not_ours() {
        let (first, second) = (mark(41, 100, 0, 5000), mark(41, 100, 0, 5000));
        let handle = |anchor: &Anchor, name: &str| anchor.handle(&Reference(name.into()));
        let mut starts = Starts::default();
        starts.note(&handle(&first, "a"), &first);
        starts.note(&handle(&second, "b"), &second);
        let last = mark(42, 101, 0, 5000);
        let ask = |handle: Handle| Asked { act: Act::Payment, handle, amount: Tiyn(5000) };
        assert_eq!(word(&starts.judge(&ask(handle(&first, "a")), &last)), "failed");
        assert_eq!(word(&starts.judge(&ask(handle(&second, "b")), &last)), "paid");
        assert_eq!(word(&starts.judge(&ask(handle(&second, "c")), &last)), "unclear");
    }

    #[test]
    fn the_shift_ends_with_the_end_of_day() {
        let mut starts = Starts::default();
        assert!(starts.is_of_this_shift(7));
        starts.settle(&mark(41, 1, 0, 1));
        assert_eq!([41, 42, 7].map(|receipt| starts.is_of_this_shift(receipt)), [false, true, false]);
        assert_eq!((receipt_of("0042/000117"), receipt_of("x"), receipt_of("0000")), (Some(42), None, None));
    }
}
