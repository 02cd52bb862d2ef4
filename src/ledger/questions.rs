//! Questions: what only evidence or a named person settles (I10), with who answered what, and why.

use super::{Fault, Tx, View};
use crate::domain::ids::{AttemptId, InboxId, OrderId, QuestionId, RefundId};
use crate::domain::time::Wall;
use rusqlite::Row;
use serde_json::json;

/// A question of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionRow {
    /// Its number.
    pub id: QuestionId,
    /// The sentence in `i18n.rs`, without `question.`.
    pub code: String,
    /// The order it is about.
    pub order: Option<OrderId>,
    /// The attempt it is about.
    pub attempt: Option<AttemptId>,
    /// The message it is about.
    pub inbox: Option<InboxId>,
    /// The refund it is about.
    pub refund: Option<RefundId>,
    /// What the sentence names.
    pub args: Vec<(String, String)>,
    /// When it was asked.
    pub asked: Wall,
}

/// A question to ask.
#[derive(Clone, Debug, Default)]
pub struct NewQuestion {
    /// The sentence in `i18n.rs`, without `question.`.
    pub code: &'static str,
    /// The order it is about.
    pub order: Option<OrderId>,
    /// The attempt it is about.
    pub attempt: Option<AttemptId>,
    /// The message it is about.
    pub inbox: Option<InboxId>,
    /// The refund it is about.
    pub refund: Option<RefundId>,
    /// What the sentence names.
    pub args: Vec<(&'static str, String)>,
}

const COLUMNS: &str =
    "SELECT id, code, order_id, attempt, inbox, args, asked, refund FROM questions WHERE answered IS NULL";

type Raw = (i64, String, Option<i64>, Option<i64>, Option<i64>, String, i64, Option<i64>);

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?))
}

impl View<'_> {
    fn questions_where(&self, tail: &str, values: impl rusqlite::Params) -> Result<Vec<QuestionRow>, Fault> {
        let mut query = self.connection.prepare_cached(&format!("{COLUMNS} {tail}"))?;
        let raws: Vec<Raw> = query.query_map(values, raw)?.collect::<Result<_, _>>()?;
        raws.into_iter()
            .map(|(id, code, order, attempt, inbox, args, asked, refund)| {
                Ok(QuestionRow {
                    id: QuestionId(id),
                    code,
                    order: order.map(OrderId),
                    attempt: attempt.map(AttemptId),
                    inbox: inbox.map(InboxId),
                    refund: refund.map(RefundId),
                    args: serde_json::from_str(&args)?,
                    asked: Wall(asked),
                })
            })
            .collect()
    }

    /// The open questions, oldest first.
    pub fn open_questions(&self) -> Result<Vec<QuestionRow>, Fault> {
        self.questions_where("ORDER BY id LIMIT 200", [])
    }

    /// What the page shows: unclear money first, the newest on top, so that no backlog hides a new red line (I12).
    pub fn listed_questions(&self, limit: u32) -> Result<Vec<QuestionRow>, Fault> {
        self.questions_where(
            "ORDER BY code IN ('unresolved', 'lost_create', 'refund_unclear') DESC, id DESC LIMIT ?1",
            [limit],
        )
    }

    /// The open questions about an attempt.
    pub fn questions_about(&self, attempt: AttemptId) -> Result<Vec<QuestionRow>, Fault> {
        self.questions_where("AND attempt = ?1 ORDER BY id", [attempt.0])
    }

    /// Whether a person was asked this about an attempt, answered or not.
    pub fn was_asked(&self, code: &str, attempt: AttemptId) -> Result<bool, Fault> {
        let sql = "SELECT EXISTS (SELECT 1 FROM questions WHERE attempt = ?1 AND code = ?2)";
        Ok(self.connection.prepare_cached(sql)?.query_row((attempt.0, code), |row| row.get(0))?)
    }

    /// The open questions about a refund.
    pub fn questions_about_refund(&self, refund: RefundId) -> Result<Vec<QuestionRow>, Fault> {
        self.questions_where("AND refund = ?1 ORDER BY id", [refund.0])
    }

    /// The open questions about an order.
    pub fn questions_of(&self, order: OrderId) -> Result<Vec<QuestionRow>, Fault> {
        self.questions_where("AND order_id = ?1 ORDER BY id", [order.0])
    }

    /// One open question.
    pub fn question(&self, id: QuestionId) -> Result<QuestionRow, Fault> {
        let found = self.questions_where("AND id = ?1", [id.0])?.pop();
        found.ok_or_else(|| Fault::Missing(format!("open question {id}")))
    }
}

impl Tx<'_> {
    /// Asks, unless the same is being asked already. Questions about paper name their job in `args`: there may be several of an order.
    pub fn ask(&self, new: &NewQuestion) -> Result<(), Fault> {
        let same = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM questions WHERE answered IS NULL AND code = ?1 AND order_id IS ?2 AND attempt IS ?3 AND inbox IS ?4 AND refund IS ?5
                   AND (code NOT IN ('print', 'print_old', 'fiscal_refused', 'fiscal_uncertain', 'fiscal_other', 'pos_mark') OR args = ?6)",
            )?
            .query_row(
                (
                    new.code,
                    new.order.map(|id| id.0),
                    new.attempt.map(|id| id.0),
                    new.inbox.map(|id| id.0),
                    new.refund.map(|id| id.0),
                    serde_json::to_string(&new.args)?,
                ),
                |row| row.get::<_, i64>(0),
            )?;
        if same > 0 {
            return Ok(());
        }
        let id = self.next_id("questions")?;
        let seq = self.record("question", id, &json!({ "state": "open", "code": new.code, "args": new.args }))?;
        self.write(
            "INSERT INTO questions (id, code, order_id, attempt, inbox, args, asked, seq, refund)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                id,
                new.code,
                new.order.map(|id| id.0),
                new.attempt.map(|id| id.0),
                new.inbox.map(|id| id.0),
                serde_json::to_string(&new.args)?,
                self.now().0,
                seq.0,
                new.refund.map(|id| id.0),
            ),
        )?;
        Ok(())
    }

    /// Closes a question with who, why and what.
    pub fn answer(&self, id: QuestionId, who: &str, because: &str, outcome: &str) -> Result<(), Fault> {
        let entry = json!({ "state": outcome, "who": who, "because": because });
        let seq = self.record("question", id.0, &entry)?;
        self.write(
            "UPDATE questions SET answered = ?2, who = ?3, because = ?4, outcome = ?5, seq = ?6 WHERE id = ?1 AND answered IS NULL",
            (id.0, self.now().0, who, because, outcome, seq.0),
        )?;
        Ok(())
    }
}
