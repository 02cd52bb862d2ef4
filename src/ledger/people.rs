//! Words about people, blanked after their time: phones, names and wishes go, while numbers, sums, states and keys stay, so that replays
//! are still known and the books still add up. The journal is not touched: it is chained by hash, and [`unspoken`] keeps phones out of it
//! from the first word. `secure_delete` writes zeros over what was there, and [`Tx::fold_after`] takes it out of the write-ahead log.

use super::{Fault, Tx, View};
use crate::domain::people::masked;
use crate::domain::time::Wall;
use rusqlite::OptionalExtension;
use serde_json::Value;

/// The members of JSON in which people write, or are written about.
const WORDS: &[&str] = &["because", "detail", "problem", "reason", "why", "who"];

/// Characters of a description that may name somebody; a shorter one would be found in numbers.
const WORD_CHARS: u32 = 6;

/// Where it is noted how far each table is done.
const DONE: &str = "people";

/// A table with words about people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Phones and descriptions of payments, with the content of their keys.
    Attempts,
    /// Raw notices.
    Inbox,
    /// Wishes and names in orders.
    Orders,
    /// Paper and notices to bots.
    Jobs,
    /// What people were asked and answered.
    Questions,
    /// Why money was given back.
    Refunds,
    /// What lines of receipts were called.
    Fiscal,
}

impl Place {
    /// All of them; payments last, since orders and paper are searched for what a bot called them.
    pub const ALL: [Place; 7] =
        [Place::Inbox, Place::Orders, Place::Jobs, Place::Questions, Place::Refunds, Place::Fiscal, Place::Attempts];

    fn word(self) -> &'static str {
        match self {
            Place::Attempts => "attempts",
            Place::Inbox => "inbox",
            Place::Orders => "orders",
            Place::Jobs => "jobs",
            Place::Questions => "questions",
            Place::Refunds => "refunds",
            Place::Fiscal => "fiscal",
        }
    }

    /// Number, time of writing, and whether somebody still works on the row: then its words stay.
    fn rows(self) -> &'static str {
        match self {
            Place::Attempts => {
                "SELECT id, created, state IN ('planned', 'sent', 'waiting', 'unresolved') OR watched = 1 FROM attempts"
            }
            Place::Inbox => {
                "SELECT id, received, EXISTS (SELECT 1 FROM questions WHERE inbox = inbox.id AND answered IS NULL) FROM inbox"
            }
            Place::Orders => {
                "SELECT id, created, closing IN ('waiting', 'closing', 'question') OR EXISTS
                   (SELECT 1 FROM parts WHERE order_id = orders.id AND state = 'collecting') FROM orders"
            }
            Place::Jobs => {
                "SELECT id, created, state IN ('queued', 'sending', 'held', 'question') OR state = 'suspect' AND
                   coalesce(reason ->> '$.code', '') <> 'one_way' FROM jobs"
            }
            Place::Questions => "SELECT id, asked, answered IS NULL FROM questions",
            Place::Refunds => {
                "SELECT id, created, state IN ('planned', 'sent', 'waiting', 'unresolved') OR watched = 1 FROM refunds"
            }
            Place::Fiscal => "SELECT id, created, state NOT IN ('registered', 'settled') FROM fiscal",
        }
    }
}

/// What one small step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The last row that was looked at: the next step begins after it.
    pub after: i64,
    /// The first row whose words had to stay.
    pub kept: Option<i64>,
    /// Rows that were blanked.
    pub blanked: usize,
    /// The table has no more rows.
    pub is_end: bool,
}

impl View<'_> {
    /// The row up to which a table is done for good.
    pub fn people_done(&self, place: Place) -> Result<i64, Fault> {
        let mut query = self.connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        let text: Option<String> = query.query_row([name(place)], |row| row.get(0)).optional()?;
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Whether a guest's phone from before a moment is still there, of a payment that nobody works on.
    pub fn has_phones(&self, before: Wall) -> Result<bool, Fault> {
        let sql = "SELECT EXISTS (SELECT 1 FROM attempts WHERE phone IS NOT NULL AND created < ?1 AND watched = 0
                   AND state IN ('paid', 'failed', 'cancelled', 'expired'))";
        Ok(self.connection.prepare_cached(sql)?.query_row([before.0], |row| row.get(0))?)
    }

    /// The rows after a number, at most so many: number, and whether its words must stay. A row that is not old enough stays too, and says
    /// nothing of those behind it: a clock that was wrong once has dated it.
    fn aged(&self, place: Place, after: i64, before: Wall, rows: u32) -> Result<(Vec<(i64, bool)>, bool), Fault> {
        let mut query =
            self.connection.prepare_cached(&format!("{} WHERE id > ?1 ORDER BY id LIMIT ?2", place.rows()))?;
        let found = query.query_map((after, rows), |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)? >= before.0 || row.get::<_, bool>(2)?))
        })?;
        let found: Vec<(i64, bool)> = found.collect::<Result<_, _>>()?;
        let is_end = u32::try_from(found.len()).is_ok_and(|count| count < rows);
        Ok((found, is_end))
    }
}

fn name(place: Place) -> String {
    format!("{DONE}.{}", place.word())
}

impl Tx<'_> {
    /// Blanks the words of the rows after a number that were written before a moment, at most so many rows.
    pub fn forget_people(&self, place: Place, after: i64, before: Wall, rows: u32) -> Result<Step, Fault> {
        let (aged, is_end) = self.aged(place, after, before, rows)?;
        let mut step = Step { after: aged.last().map_or(after, |(id, _)| *id), kept: None, blanked: 0, is_end };
        for (id, stays) in aged {
            if stays {
                step.kept = step.kept.or(Some(id));
            } else if self.forget(place, id)? {
                step.blanked += 1;
            }
        }
        Ok(step)
    }

    /// Notes that a table is done up to a row, and empties the write-ahead log after the commit.
    pub fn people_are_done(&self, place: Place, upto: i64) -> Result<(), Fault> {
        let sql =
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.write(sql, (name(place), upto.to_string()))?;
        self.fold_after();
        Ok(())
    }

    fn forget(&self, place: Place, id: i64) -> Result<bool, Fault> {
        match place {
            Place::Attempts => self.forget_attempt(id),
            Place::Inbox => {
                let sql = "UPDATE inbox SET headers = '{}', body = x'' WHERE id = ?1 AND (headers <> '{}' OR length(body) > 0)";
                Ok(self.write(sql, [id])? > 0)
            }
            Place::Orders => {
                let words = self.bots_words("WHERE parts.order_id = ?1", id)?;
                self.rewrite("orders", "snapshot", id, &|value| {
                    blank_order(value);
                    value.get_mut("lines").into_iter().for_each(|lines| without(lines, &words));
                })
            }
            Place::Jobs => {
                let words = self.bots_words("JOIN jobs ON jobs.order_id = parts.order_id WHERE jobs.id = ?1", id)?;
                let body = self.rewrite("jobs", "body", id, &|value| {
                    mask_all(value);
                    without(value, &words);
                })?;
                Ok(body | self.rewrite("jobs", "reason", id, &mask_all)?)
            }
            Place::Questions => {
                let args = self.rewrite("questions", "args", id, &mask_all)?;
                Ok(args | self.remask("questions", "because", id)?)
            }
            Place::Refunds => {
                let reason = self.rewrite("refunds", "reason", id, &mask_all)?;
                let content = self.remask("refunds", "content", id)?;
                let proof = self.rewrite("refunds", "proof", id, &mask_detail)?;
                Ok(reason | content | proof | self.remask("refunds", "because", id)?)
            }
            Place::Fiscal => self.forget_receipt(id),
        }
    }

    /// A receipt without phones in the names of its lines. Its numbers stay letter by letter, since a return must tell the same: what the
    /// register wants on paper is touched only where a line had a phone, and nothing but its texts.
    fn forget_receipt(&self, id: i64) -> Result<bool, Fault> {
        let bill = self.rewrite("fiscal", "bill", id, &mask_lines)?;
        let request = self.rewrite("fiscal", "request", id, &mask_lines)?;
        if bill | request {
            self.rewrite("fiscal", "answer", id, &mask_paper)?;
        }
        Ok(bill | request)
    }

    /// A payment without its phone; a bot's description may name anybody. Its key stays bound to what was asked for, whatever that said.
    fn forget_attempt(&self, id: i64) -> Result<bool, Fault> {
        let sql = "UPDATE attempts SET phone = NULL, description = CASE WHEN bot IS NULL THEN description ELSE '' END
                    WHERE id = ?1 AND (phone IS NOT NULL OR bot IS NOT NULL AND description <> '')";
        let mut is_changed = self.write(sql, [id])? > 0;
        is_changed |= self.remask("attempts", "description", id)?;
        is_changed |= self.rewrite("attempts", "evidence", id, &mask_detail)?;
        is_changed |= self.rewrite("attempts", "reason", id, &mask_all)?;
        Ok(self.forget_keys(id)? | is_changed)
    }

    fn forget_keys(&self, attempt: i64) -> Result<bool, Fault> {
        let mut query = self.connection.prepare_cached("SELECT key, content FROM keys WHERE attempt = ?1")?;
        let bound = query.query_map([attempt], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let bound: Vec<(String, String)> = bound.collect::<Result<_, _>>()?;
        let mut is_changed = false;
        for (key, content) in bound {
            let bare = bare_content(&content);
            if bare != content {
                is_changed |= self.write("UPDATE keys SET content = ?2 WHERE key = ?1", (key, bare))? > 0;
            }
        }
        Ok(is_changed)
    }

    /// What bots wrote about an order: the name of its only dish where they named none, and with it on its paper.
    fn bots_words(&self, tail: &str, id: i64) -> Result<Vec<String>, Fault> {
        let sql = format!(
            "SELECT DISTINCT description FROM attempts JOIN parts ON parts.id = part_id {tail} AND bot IS NOT NULL AND length(description) >= {WORD_CHARS}"
        );
        let mut query = self.connection.prepare_cached(&sql)?;
        Ok(query.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    fn rewrite(&self, table: &str, column: &str, id: i64, change: &dyn Fn(&mut Value)) -> Result<bool, Fault> {
        let Some(text) = self.word_of(table, column, id)? else { return Ok(false) };
        // A row that is no JSON any more is a flaw that the check of the ledger tells; here it only keeps its words.
        let Ok(mut value) = serde_json::from_str::<Value>(&text) else { return Ok(false) };
        let before = value.clone();
        change(&mut value);
        if value == before {
            return Ok(false);
        }
        self.write(&format!("UPDATE {table} SET {column} = ?2 WHERE id = ?1"), (id, value.to_string()))?;
        Ok(true)
    }

    fn remask(&self, table: &str, column: &str, id: i64) -> Result<bool, Fault> {
        let Some(text) = self.word_of(table, column, id)? else { return Ok(false) };
        let bare = masked(&text);
        if bare == text {
            return Ok(false);
        }
        self.write(&format!("UPDATE {table} SET {column} = ?2 WHERE id = ?1"), (id, bare))?;
        Ok(true)
    }

    fn word_of(&self, table: &str, column: &str, id: i64) -> Result<Option<String>, Fault> {
        let sql = format!("SELECT {column} FROM {table} WHERE id = ?1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([id], |row| row.get(0))?)
    }
}

/// Wishes of the guest go; what was sold, and for how much, stays.
fn blank_order(value: &mut Value) {
    let blank = |value: &mut Value| {
        if let Some(Value::String(comment)) = value.get_mut("comment") {
            comment.clear();
        }
    };
    blank(value);
    if let Some(Value::Array(lines)) = value.get_mut("lines") {
        for line in lines {
            blank(line);
            if let Some(Value::String(name)) = line.get_mut("name") {
                *name = masked(name);
            }
            line.get_mut("modifiers").into_iter().for_each(mask_all);
        }
    }
}

/// What a person or a partner said beside an evidence.
fn mask_detail(value: &mut Value) {
    if let Some(Value::String(detail)) = value.get_mut("detail") {
        *detail = masked(detail);
    }
}

/// Names of lines, as we wrote them down and as the register was asked.
fn mask_lines(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask_lines),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if let Value::String(text) = member
                    && matches!(name.as_str(), "name" | "PositionName")
                {
                    *text = masked(text);
                } else {
                    mask_lines(member);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The register's own form of a receipt: its texts, but no line that holds the fiscal sign.
fn mask_paper(value: &mut Value) {
    let sign = value["sign"].as_str().unwrap_or_default().to_owned();
    for line in value.get_mut("lines").and_then(Value::as_array_mut).into_iter().flatten() {
        let is_text = line["kind"] == "text";
        if let Some(Value::String(text)) = line.get_mut("value").filter(|_| is_text)
            && (sign.is_empty() || !text.contains(&sign))
        {
            *text = masked(text);
        }
    }
}

/// Texts that hold one of these words, or the same with its phones masked, say nothing any more.
fn without(value: &mut Value, words: &[String]) {
    match value {
        Value::String(text) => {
            if words.iter().any(|word| text.contains(word.as_str()) || text.contains(&masked(word))) {
                "…".clone_into(text);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| without(item, words)),
        Value::Object(members) => members.values_mut().for_each(|member| without(member, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Masks every text, at any depth; wishes go.
fn mask_all(value: &mut Value) {
    match value {
        Value::String(text) => *text = masked(text),
        Value::Array(items) => items.iter_mut().for_each(mask_all),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if name == "comment" && member.is_string() {
                    *member = Value::String(String::new());
                } else {
                    mask_all(member);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The content of a key without its people, as a hash: what was asked for is still told from anything else (H2).
pub fn bare_content(content: &str) -> String {
    use sha2::{Digest, Sha256};
    const BARE: &str = "bare:";
    if content.starts_with(BARE) {
        return content.to_owned();
    }
    let bare = match serde_json::from_str::<Value>(content) {
        Ok(Value::Object(mut members)) => {
            members.remove("phone");
            Value::Object(members).to_string()
        }
        // A bot's: sum, phone, description, order, lines. The number of a phone could be found by trying them all.
        Ok(Value::Array(mut items)) => {
            items.iter_mut().skip(1).take(2).for_each(|item| *item = Value::Null);
            Value::Array(items).to_string()
        }
        Ok(_) | Err(_) => masked(content),
    };
    let hex: String = Sha256::digest(bare).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{BARE}{hex}")
}

/// An entry of the journal without phones in what people wrote; names, numbers and sums stay as they are.
pub(in crate::ledger) fn unspoken(mut entry: Value) -> Value {
    hush(&mut entry);
    entry
}

fn hush(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if WORDS.contains(&name.as_str()) { mask_all(member) } else { hush(member) }
            }
        }
        // The places of a question: pairs of a name and its text.
        Value::Array(items) => match &mut items[..] {
            [Value::String(name), text] if WORDS.contains(&name.as_str()) => mask_all(text),
            items => items.iter_mut().for_each(hush),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_journal_hears_no_phone_and_keeps_its_numbers() {
        let entry = json!({ "state": "paid", "transaction": "77011234567", "because": "гость +7 701 123-45-67",
            "evidence": { "amount": 100, "transaction": "87011234567", "detail": "Мария: 87011234567" },
            "args": [["problem", "phone 77011234567"], ["handle", "77011234567"]] });
        let told = json!({ "state": "paid", "transaction": "77011234567", "because": "гость +* *** ***-**-67",
            "evidence": { "amount": 100, "transaction": "87011234567", "detail": "Мария: *********67" },
            "args": [["problem", "phone *********67"], ["handle", "77011234567"]] });
        assert_eq!(unspoken(entry), told);
    }

    #[test]
    fn a_receipt_loses_its_phones_and_keeps_its_numbers() {
        let mut bill =
            json!({ "positions": [{ "name": "Айгүл 87011234567", "price": 1 }], "reference": "87011234567" });
        mask_lines(&mut bill);
        assert_eq!(
            bill,
            json!({ "positions": [{ "name": "Айгүл *********67", "price": 1 }], "reference": "87011234567" })
        );
        let line = |kind: &str, value: &str| json!({ "kind": kind, "value": value });
        let mut answer = json!({ "sign": "77011112233", "lines": [line("text", "тел. 87011234567"),
            line("text", "ФП 77011112233"), line("qr", "i=87011234567")] });
        let mut masked = answer.clone();
        masked["lines"][0]["value"] = json!("тел. *********67");
        mask_paper(&mut answer);
        assert_eq!(answer, masked);
    }

    /// A clock that was wrong for a moment dates one row far ahead: those behind it are forgotten in their time, and it in its own.
    #[test]
    fn a_row_from_the_future_stops_nobody_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let gate = std::sync::Arc::new(|_: super::super::GatePoint| true);
        let ledger = super::super::Ledger::open(&path, &crate::host::ids::Ids::seeded(1), gate).unwrap();
        let sql = "INSERT INTO inbox (id, door, event_key, headers, body, received, state) VALUES
                   (1, 'a', '1', '{}', x'41', 10, 'settled'), (2, 'a', '2', '{}', x'41', 9000, 'settled'),
                   (3, 'a', '3', '{}', x'41', 11, 'settled')";
        ledger.connection.execute_batch(sql).unwrap();
        let (rows, is_end) = ledger.view().aged(Place::Inbox, 0, Wall(100), 50).unwrap();
        assert_eq!((rows, is_end), (vec![(1, false), (2, true), (3, false)], true));
        let (_, is_end) = ledger.view().aged(Place::Inbox, 0, Wall(100), 2).unwrap();
        assert!(!is_end, "its end is the end of the table");
        assert_eq!(ledger.view().aged(Place::Inbox, 2, Wall(9001), 50).unwrap().0, [(3, false)]);
    }

    #[test]
    fn a_bare_content_tells_what_was_asked_for_from_anything_else() {
        let content = |sum: i64, phone: &str| json!([sum, phone, "Доставка", null, null]).to_string();
        let bare = bare_content(&content(5, "77011234567"));
        assert_eq!(bare, bare_content(&content(5, "77019876543")), "the phone is forgotten");
        assert_ne!(bare, bare_content(&content(6, "77011234567")));
        assert_eq!(bare, bare_content(&bare));
        let object = |phone: &str| bare_content(&json!({ "order_id": "5", "phone": phone }).to_string());
        assert_eq!(object("77011234567"), object("+7 701 987 65 43"));
        assert_ne!(object("1"), bare_content(&json!({ "order_id": "6" }).to_string()));
    }
}
