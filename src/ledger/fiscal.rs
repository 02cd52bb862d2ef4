//! Documents for the cash register, in the order in which they are registered. The key and the request are written once, before the first
//! byte leaves; from then on the register may know the document, whatever the state says.

use super::{Fault, Tx, View};
use crate::domain::ids::{AttemptId, FiscalId, OrderId};
use crate::domain::money::Tiyn;
use crate::domain::outcome::Reason;
use crate::domain::time::Wall;
use rusqlite::Row;
use serde_json::json;

/// What a document is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A receipt of a sale.
    Sale,
    /// A receipt of a return.
    Return,
    /// Cash into the drawer.
    CashIn,
    /// Cash out of the drawer.
    CashOut,
    /// Totals so far.
    X,
    /// Totals at the end of the shift.
    Z,
}

impl Act {
    const ALL: [Act; 6] = [Act::Sale, Act::Return, Act::CashIn, Act::CashOut, Act::X, Act::Z];

    /// The word of the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Act::Sale => "sale",
            Act::Return => "return",
            Act::CashIn => "cash_in",
            Act::CashOut => "cash_out",
            Act::X => "x",
            Act::Z => "z",
        }
    }

    /// Whether it gets a fiscal sign.
    pub fn is_bill(self) -> bool {
        match self {
            Act::Sale | Act::Return => true,
            Act::CashIn | Act::CashOut | Act::X | Act::Z => false,
        }
    }
}

/// Where a document stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// To be registered.
    Queued,
    /// On its way, or it was when we died.
    Sending,
    /// It went out, and nobody here knows what became of it: the same goes out again.
    Uncertain,
    /// Registered.
    Registered,
    /// The register said no to it: a person has to look.
    Refused,
    /// A named person has settled it outside.
    Settled,
}

impl State {
    const ALL: [State; 6] =
        [State::Queued, State::Sending, State::Uncertain, State::Registered, State::Refused, State::Settled];

    /// The word of the ledger.
    pub fn word(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Sending => "sending",
            State::Uncertain => "uncertain",
            State::Registered => "registered",
            State::Refused => "refused",
            State::Settled => "settled",
        }
    }

    /// Whether the worker still has to register it.
    pub fn is_due(self) -> bool {
        match self {
            State::Queued | State::Sending | State::Uncertain => true,
            State::Registered | State::Refused | State::Settled => false,
        }
    }

    /// Whether nothing more will become of it.
    pub fn is_final(self) -> bool {
        match self {
            State::Registered | State::Settled => true,
            State::Queued | State::Sending | State::Uncertain | State::Refused => false,
        }
    }
}

/// Whether the POS knows that the receipt exists.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It need not.
    None,
    /// It is to be told.
    Waiting,
    /// It was told.
    Done,
    /// It would not hear it.
    Refused,
}

impl Mark {
    const ALL: [Mark; 4] = [Mark::None, Mark::Waiting, Mark::Done, Mark::Refused];

    /// The word of the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Mark::None => "none",
            Mark::Waiting => "waiting",
            Mark::Done => "done",
            Mark::Refused => "refused",
        }
    }
}

/// A document of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiscalRow {
    /// Its number.
    pub id: FiscalId,
    /// The cash register, by its name in the configuration.
    pub register: String,
    /// What it is.
    pub act: Act,
    /// The order that it is for.
    pub order: Option<OrderId>,
    /// The receipt that a return gives back.
    pub basis: Option<FiscalId>,
    /// What it comes to.
    pub total: Tiyn,
    /// What is meant, as JSON of the flow.
    pub bill: String,
    /// The idempotency key, once it was ready to leave.
    pub key: Option<String>,
    /// What was sent, letter by letter, without secrets.
    pub request: Option<String>,
    /// Where it stands.
    pub state: State,
    /// How often it was made ready: more than once where a person had it made anew.
    pub tries: i64,
    /// What the register answered, as JSON of its kind.
    pub answer: Option<String>,
    /// The fiscal sign.
    pub sign: Option<String>,
    /// Why it stands where it stands.
    pub reason: Option<Reason>,
    /// When the guest got paper that says that the receipt comes later.
    pub noticed: Option<Wall>,
    /// Whether the POS knows of it.
    pub mark: Mark,
    /// When it was written down.
    pub created: Wall,
    /// When it last changed.
    pub changed: Wall,
}

/// A document to write down.
#[derive(Clone, Debug)]
pub struct NewFiscal<'a> {
    /// The cash register.
    pub register: &'a str,
    /// What it is.
    pub act: Act,
    /// The order that it is for.
    pub order: Option<OrderId>,
    /// The receipt that a return gives back.
    pub basis: Option<FiscalId>,
    /// What it comes to.
    pub total: Tiyn,
    /// What is meant, as JSON of the flow.
    pub bill: String,
    /// What it registers of each payment, below zero where it takes back.
    pub shares: &'a [(AttemptId, Tiyn)],
}

/// What changes of a document.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// Where it stands now.
    pub state: State,
    /// Why.
    pub reason: Option<&'a Reason>,
    /// What the register answered, with the fiscal sign where it gave one.
    pub answer: Option<(&'a str, Option<&'a str>)>,
}

const COLUMNS: &str =
    "SELECT id, register, act, order_id, basis, total, bill, key, request, state, tries, answer, sign, reason, noticed,
     mark, created, changed FROM fiscal";

struct Raw {
    id: i64,
    register: String,
    act: String,
    order: Option<i64>,
    basis: Option<i64>,
    total: i64,
    bill: String,
    key: Option<String>,
    request: Option<String>,
    state: String,
    tries: i64,
    answer: Option<String>,
    sign: Option<String>,
    reason: Option<String>,
    noticed: Option<i64>,
    mark: String,
    created: i64,
    changed: i64,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        id: row.get(0)?,
        register: row.get(1)?,
        act: row.get(2)?,
        order: row.get(3)?,
        basis: row.get(4)?,
        total: row.get(5)?,
        bill: row.get(6)?,
        key: row.get(7)?,
        request: row.get(8)?,
        state: row.get(9)?,
        tries: row.get(10)?,
        answer: row.get(11)?,
        sign: row.get(12)?,
        reason: row.get(13)?,
        noticed: row.get(14)?,
        mark: row.get(15)?,
        created: row.get(16)?,
        changed: row.get(17)?,
    })
}

fn fiscal(raw: Raw) -> Result<FiscalRow, Fault> {
    let broken = |what: &str| Fault::Broken(format!("fiscal {}: {what}", raw.id));
    Ok(FiscalRow {
        id: FiscalId(raw.id),
        act: Act::ALL.into_iter().find(|act| act.word() == raw.act).ok_or_else(|| broken("act"))?,
        state: State::ALL.into_iter().find(|state| state.word() == raw.state).ok_or_else(|| broken("state"))?,
        mark: Mark::ALL.into_iter().find(|mark| mark.word() == raw.mark).ok_or_else(|| broken("mark"))?,
        reason: raw.reason.as_deref().map(serde_json::from_str).transpose()?,
        register: raw.register,
        order: raw.order.map(OrderId),
        basis: raw.basis.map(FiscalId),
        total: Tiyn(raw.total),
        bill: raw.bill,
        key: raw.key,
        request: raw.request,
        tries: raw.tries,
        answer: raw.answer,
        sign: raw.sign,
        noticed: raw.noticed.map(Wall),
        created: Wall(raw.created),
        changed: Wall(raw.changed),
    })
}

impl View<'_> {
    fn fiscal_where(&self, tail: &str, values: impl rusqlite::Params) -> Result<Vec<FiscalRow>, Fault> {
        let mut query = self.connection.prepare_cached(&format!("{COLUMNS} {tail}"))?;
        let raws: Vec<Raw> = query.query_map(values, raw)?.collect::<Result<_, _>>()?;
        raws.into_iter().map(fiscal).collect()
    }

    /// One document.
    pub fn fiscal(&self, id: FiscalId) -> Result<FiscalRow, Fault> {
        let found = self.fiscal_where("WHERE id = ?1", [id.0])?.pop();
        found.ok_or_else(|| Fault::Missing(format!("fiscal document {id}")))
    }

    /// The document that has a fiscal sign.
    pub fn fiscal_by_sign(&self, register: &str, sign: &str) -> Result<Option<FiscalRow>, Fault> {
        Ok(self.fiscal_where("WHERE register = ?1 AND sign = ?2", (register, sign))?.pop())
    }

    /// The documents of an order, oldest first.
    pub fn fiscal_of_order(&self, order: OrderId) -> Result<Vec<FiscalRow>, Fault> {
        self.fiscal_where("WHERE order_id = ?1 ORDER BY id", [order.0])
    }

    /// The returns of a receipt, oldest first.
    pub fn fiscal_returns(&self, basis: FiscalId) -> Result<Vec<FiscalRow>, Fault> {
        self.fiscal_where("WHERE basis = ?1 ORDER BY id", [basis.0])
    }

    /// What a register still has to take, or a person to look at, oldest first.
    pub fn fiscal_open(&self, register: &str, limit: u32) -> Result<Vec<FiscalRow>, Fault> {
        let tail =
            "WHERE register = ?1 AND state IN ('queued', 'sending', 'uncertain', 'refused') ORDER BY id LIMIT ?2";
        self.fiscal_where(tail, (register, limit))
    }

    /// What a register still has to take, oldest first.
    pub fn fiscal_due(&self, register: &str, limit: u32) -> Result<Vec<FiscalRow>, Fault> {
        let tail =
            "WHERE register = ?1 AND state IN ('queued', 'sending', 'uncertain', 'refused') AND state <> 'refused'
                     ORDER BY act <> 'z' OR coalesce(reason ->> '$.code', '') <> 'fiscal_shift_over', id LIMIT ?2";
        self.fiscal_where(tail, (register, limit))
    }

    /// Receipts without a sign and without paper that says so, written down since a time of day, oldest first.
    pub fn fiscal_unnoticed(&self, register: &str, from: Wall, limit: u32) -> Result<Vec<FiscalRow>, Fault> {
        let tail = "WHERE register = ?1 AND state IN ('queued', 'sending', 'uncertain', 'refused')
                      AND act IN ('sale', 'return') AND noticed IS NULL AND created >= ?2 ORDER BY id LIMIT ?3";
        self.fiscal_where(tail, (register, from.0, limit))
    }

    /// Whether a document of an open shift was registered before a moment: after the newest Z report, and not an X.
    pub fn is_shift_older(&self, register: &str, day: Wall) -> Result<bool, Fault> {
        let sql =
            "SELECT EXISTS (SELECT 1 FROM fiscal WHERE register = ?1 AND state = 'registered' AND act NOT IN ('x', 'z')
                     AND created < ?2 AND id > (SELECT coalesce(max(id), 0) FROM fiscal
                       WHERE register = ?1 AND state = 'registered' AND act = 'z'))";
        Ok(self.connection.prepare_cached(sql)?.query_row((register, day.0), |row| row.get(0))?)
    }

    /// Whether a shift was closed since a moment.
    pub fn was_shift_closed(&self, register: &str, since: Wall) -> Result<bool, Fault> {
        let sql = "SELECT EXISTS (SELECT 1 FROM fiscal
                    WHERE register = ?1 AND act = 'z' AND state = 'registered' AND changed >= ?2)";
        Ok(self.connection.prepare_cached(sql)?.query_row((register, since.0), |row| row.get(0))?)
    }

    /// What a register still has to take: how many, and the oldest.
    pub fn fiscal_backlog(&self, register: &str) -> Result<(i64, Option<Wall>), Fault> {
        let sql = "SELECT count(*), min(created) FROM fiscal
                    WHERE register = ?1 AND state IN ('queued', 'sending', 'uncertain', 'refused')
                      AND state <> 'refused' AND act IN ('sale', 'return')";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(Wall)));
        Ok(self.connection.prepare_cached(sql)?.query_row([register], read)?)
    }

    /// Documents of registers that are not this one and still wait: their register left the configuration.
    pub fn fiscal_strays(&self, register: &str) -> Result<Vec<FiscalRow>, Fault> {
        let tail = "WHERE register <> ?1 AND state IN ('queued', 'sending', 'uncertain', 'refused')
                      AND state <> 'refused' ORDER BY id LIMIT 200";
        self.fiscal_where(tail, [register])
    }

    /// The documents written down since a time of day, for the day's books.
    pub fn fiscal_since(&self, from: Wall, limit: u32) -> Result<Vec<FiscalRow>, Fault> {
        self.fiscal_where("WHERE created >= ?1 ORDER BY id LIMIT ?2", (from.0, limit))
    }

    /// The newest documents, the newest first.
    pub fn newest_fiscal(&self, limit: u32) -> Result<Vec<FiscalRow>, Fault> {
        self.fiscal_where("ORDER BY id DESC LIMIT ?1", [limit])
    }

    /// The newest cash moves, the newest first.
    pub fn newest_moves(&self, limit: u32) -> Result<Vec<FiscalRow>, Fault> {
        self.fiscal_where("WHERE act IN ('cash_in', 'cash_out') ORDER BY id DESC LIMIT ?1", [limit])
    }

    /// The newest document of a register that it took.
    pub fn last_registered(&self, register: &str) -> Result<Option<FiscalRow>, Fault> {
        let tail = "WHERE register = ?1 AND state = 'registered' AND act <> 'x' ORDER BY id DESC LIMIT 1";
        Ok(self.fiscal_where(tail, [register])?.pop())
    }

    /// Receipts that the POS is to be told of, of orders that are closed there, oldest first.
    pub fn fiscal_marks(&self, limit: u32) -> Result<Vec<FiscalRow>, Fault> {
        let tail = "WHERE mark = 'waiting' AND order_id IN (SELECT id FROM orders WHERE closing = 'closed')
                     ORDER BY id LIMIT ?1";
        self.fiscal_where(tail, [limit])
    }

    /// What a document registers of each payment, below zero where it takes back.
    pub fn fiscal_shares(&self, id: FiscalId) -> Result<Vec<(AttemptId, Tiyn)>, Fault> {
        let sql = "SELECT attempt, amount FROM fiscal_shares WHERE fiscal = ?1 ORDER BY attempt";
        let mut query = self.connection.prepare_cached(sql)?;
        let shares = query.query_map([id.0], |row| Ok((AttemptId(row.get(0)?), Tiyn(row.get(1)?))))?;
        Ok(shares.collect::<Result<_, _>>()?)
    }

    /// What all documents together register of a payment.
    pub fn fiscal_share(&self, attempt: AttemptId) -> Result<Tiyn, Fault> {
        let sql = "SELECT coalesce(sum(amount), 0) FROM fiscal_shares WHERE attempt = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([attempt.0], |row| Ok(Tiyn(row.get(0)?)))?)
    }

    /// Orders with a payment by one of these tenders (their words as a JSON list) since a time of day, of which no document registers
    /// anything.
    pub fn unregistered_orders(&self, tenders: &str, from: Wall) -> Result<Vec<OrderId>, Fault> {
        let sql = "SELECT DISTINCT parts.order_id FROM attempts JOIN parts ON parts.id = attempts.part_id
                    WHERE attempts.created >= ?1 AND attempts.state = 'paid' AND tender IN (SELECT value FROM json_each(?2))
                      AND NOT EXISTS (SELECT 1 FROM fiscal_shares WHERE attempt = attempts.id)";
        let mut query = self.connection.prepare_cached(sql)?;
        let orders = query.query_map((from.0, tenders), |row| Ok(OrderId(row.get(0)?)))?;
        Ok(orders.collect::<Result<_, _>>()?)
    }
}

impl Tx<'_> {
    /// Writes a document down as `queued`.
    pub fn add_fiscal(&self, new: &NewFiscal<'_>) -> Result<FiscalRow, Fault> {
        let id = self.next_id("fiscal")?;
        let entry = json!({
            "state": "queued", "act": new.act.word(), "order": new.order, "basis": new.basis, "total": new.total,
            "shares": new.shares,
        });
        let seq = self.record("fiscal", id, &entry)?;
        self.write(
            "INSERT INTO fiscal (id, register, act, order_id, basis, total, bill, state, created, changed, seq)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'queued', ?8, ?8, ?9)",
            rusqlite::params![
                id,
                new.register,
                new.act.word(),
                new.order.map(|order| order.0),
                new.basis.map(|basis| basis.0),
                new.total.0,
                new.bill,
                self.now().0,
                seq.0
            ],
        )?;
        for (attempt, amount) in new.shares {
            let sql = "INSERT INTO fiscal_shares (fiscal, attempt, amount) VALUES (?1, ?2, ?3)";
            self.write(sql, (id, attempt.0, amount.0))?;
        }
        self.fiscal(FiscalId(id))
    }

    /// The document is ready to leave: its key and its request are bound to it for ever.
    pub fn bind_fiscal(&self, row: &FiscalRow, key: &str, request: &str) -> Result<FiscalRow, Fault> {
        let entry = json!({ "state": "sending", "was": row.state.word(), "key": key });
        let seq = self.record("fiscal", row.id.0, &entry)?;
        let changed = self.write(
            "UPDATE fiscal SET state = 'sending', tries = tries + 1, key = ?2, request = ?3, reason = NULL, changed = ?4, seq = ?5
              WHERE id = ?1 AND key IS NULL",
            (row.id.0, key, request, self.now().0, seq.0),
        )?;
        if changed != 1 {
            return Err(Fault::Broken(format!("fiscal document {} has a key already", row.id)));
        }
        self.fiscal(row.id)
    }

    /// A document that the register surely refused is made anew: with another content, hence with another key.
    pub fn renew_fiscal(&self, row: &FiscalRow, bill: &str, total: Tiyn) -> Result<FiscalRow, Fault> {
        let entry = json!({ "state": "queued", "was": row.state.word(), "total": total, "anew": true });
        let seq = self.record("fiscal", row.id.0, &entry)?;
        let changed = self.write(
            "UPDATE fiscal SET state = 'queued', key = NULL, request = NULL, reason = NULL, bill = ?2, total = ?3, changed = ?4, seq = ?5
              WHERE id = ?1 AND state = 'refused'",
            (row.id.0, bill, total.0, self.now().0, seq.0),
        )?;
        if changed != 1 {
            return Err(Fault::Broken(format!("fiscal document {} is not refused", row.id)));
        }
        self.fiscal(row.id)
    }

    /// Moves a document. Nothing is written when nothing changes: a register that is away for a day wears no card.
    pub fn set_fiscal(&self, row: &FiscalRow, change: &Change<'_>) -> Result<FiscalRow, Fault> {
        if row.state == change.state && row.reason.as_ref() == change.reason && change.answer.is_none() {
            return Ok(row.clone());
        }
        // What a person settled may turn out to be registered after all.
        if row.state == State::Registered || (row.state == State::Settled && change.state != State::Registered) {
            return Err(Fault::Broken(format!("fiscal document {} is {}", row.id, row.state.word())));
        }
        let mut entry = json!({ "state": change.state.word(), "was": row.state.word(), "reason": change.reason });
        let (answer, sign) = change.answer.map_or((None, None), |(answer, sign)| (Some(answer), sign));
        if let (Some(fields), Some(sign)) = (entry.as_object_mut(), sign) {
            fields.insert("sign".to_owned(), json!(sign));
        }
        let seq = self.record("fiscal", row.id.0, &entry)?;
        self.write(
            "UPDATE fiscal SET state = ?2, reason = ?3, answer = ?4, sign = ?5, changed = ?6, seq = ?7 WHERE id = ?1",
            rusqlite::params![
                row.id.0,
                change.state.word(),
                change.reason.map(serde_json::to_string).transpose()?,
                answer,
                sign,
                self.now().0,
                seq.0
            ],
        )?;
        self.fiscal(row.id)
    }

    /// The guest got paper that says that the receipt comes later.
    pub fn set_noticed(&self, id: FiscalId) -> Result<(), Fault> {
        self.write("UPDATE fiscal SET noticed = ?2 WHERE id = ?1 AND noticed IS NULL", (id.0, self.now().0)).map(drop)
    }

    /// Whether the POS knows of the receipt. It is no change of the document itself; the journal tells of it beside.
    pub fn set_mark(&self, row: &FiscalRow, mark: Mark) -> Result<(), Fault> {
        self.record("mark", row.id.0, &json!({ "mark": mark.word() }))?;
        self.write("UPDATE fiscal SET mark = ?2 WHERE id = ?1", (row.id.0, mark.word())).map(drop)
    }
}
