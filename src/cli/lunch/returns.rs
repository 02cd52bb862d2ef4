//! Parts and second thoughts of the lunch: a guest pays some of the bill in cash, another one gets money back for a dish.

use super::{Look, Lunch, Sold, TRIES_MAX, Way};
use crate::sandbox::terminal::OperationStatus;
use serde_json::{Value, json};
use std::time::Duration;

/// Orders of a hundred of which a part is paid in cash.
const IN_PARTS: u64 = 15;

/// Paid orders of a hundred of which something goes back.
const GIVEN_BACK: u64 = 12;

impl Lunch<'_> {
    /// Some of the bill in cash first, with change; the rest goes its usual way.
    pub(super) async fn cash_part(&self, sold: &mut Sold, draw: u64) -> Result<(), String> {
        let part = sold.due_tenge / 300 * 100;
        if draw >= IN_PARTS || part == 0 {
            return Ok(());
        }
        self.take_cash(sold, part).await?;
        sold.cash_tenge = part;
        Ok(())
    }

    async fn take_cash(&self, sold: &Sold, part: i64) -> Result<(), String> {
        let tendered = (part + 4_999) / 5_000 * 5_000;
        let body = json!({
            "order_id": sold.foreign_id, "tender": "cash", "amount": part, "tendered": tendered,
        });
        let key = format!("{}-cash", sold.foreign_id);
        let shown = self.patient("POST", "/api/v1/payments", Some((&key, &body))).await?;
        if shown["change"] != json!(tendered - part) {
            return Err(format!("the change of {tendered} for {part} is {}", shown["change"]));
        }
        Ok(())
    }

    /// All of the bill in cash, with change.
    pub(super) async fn cash_whole(&self, sold: &mut Sold) -> Result<(), String> {
        let due = sold.due_tenge;
        self.take_cash(sold, due).await?;
        (sold.cash_tenge, sold.paid) = (due, true);
        Ok(())
    }

    /// The guest left and the rest was never paid: the cash goes back.
    pub(super) async fn cash_back(&self, sold: &mut Sold) -> Result<(), String> {
        if sold.cash_tenge == 0 || sold.paid {
            return Ok(());
        }
        let cash = self.payments_of(sold, "cash").await?;
        for payment in cash {
            self.give_back(&payment, sold.cash_tenge, "cash-back").await?;
        }
        sold.cash_tenge = 0;
        self.tally.refunds.set(self.tally.refunds.get() + 1);
        sold.slips += 1;
        Ok(())
    }

    /// A dish comes back: some of the money goes back the way it came.
    pub(super) async fn dish_back(&self, sold: &mut Sold, draw: u64) -> Result<(), String> {
        if draw >= GIVEN_BACK || !sold.paid {
            return Ok(());
        }
        let tender = if sold.way == Way::Cash { "cash" } else { "kaspi_terminal" };
        let Some(payment) = self.payments_of(sold, tender).await?.pop() else {
            return Ok(());
        };
        self.until_closed(&payment).await?;
        let paid = payment["amount_paid"].as_i64().unwrap_or_default();
        let amount = if draw.is_multiple_of(2) { paid } else { (paid / 200 * 100).max(100).min(paid) };
        if self.give_back(&payment, amount, "dish").await? {
            match sold.way {
                Way::Cash => sold.cash_returned_tenge += amount,
                Way::Terminal(_) | Way::Phone | Way::Bot => sold.returned_tenge += amount,
            }
            sold.slips += 1;
            self.tally.refunds.set(self.tally.refunds.get() + 1);
        }
        Ok(())
    }

    async fn payments_of(&self, sold: &Sold, tender: &str) -> Result<Vec<Value>, String> {
        let shown = self.patient("GET", "/api/v1/payments?limit=200&state=paid", None).await?;
        let all = shown["payments"].as_array().cloned().unwrap_or_default();
        let of = |one: &Value| one["order_id"] == json!(sold.foreign_id) && one["tender"] == tender;
        Ok(all.into_iter().filter(of).collect())
    }

    /// A refund of an order waits until the POS has closed it.
    async fn until_closed(&self, payment: &Value) -> Result<(), String> {
        let path = format!("/api/v1/payments/{}", payment["id"].as_str().unwrap_or_default());
        loop {
            let shown = self.patient("GET", &path, None).await?;
            if ["closed", "none", "question"].contains(&shown["pos"].as_str().unwrap_or_default()) {
                return Ok(());
            }
            self.clock.sleep(Duration::from_secs(2)).await;
        }
    }

    /// Gives money back and follows it to its end; begins anew when the guest did not confirm. Whether it went.
    async fn give_back(&self, payment: &Value, amount: i64, why: &str) -> Result<bool, String> {
        let id = payment["id"].as_str().unwrap_or_default();
        for attempt in 0..TRIES_MAX {
            let key = format!("{id}-{why}-{attempt}");
            let body = json!({ "amount": amount, "by": "Кассир", "because": "блюдо вернули" });
            let path = format!("/api/v1/payments/{id}/refund");
            let shown = match self.patient("POST", &path, Some((&key, &body))).await {
                Ok(shown) => shown,
                // A person answered for this payment: it goes back in Kaspi Pay, and nobody in this lunch has that open.
                Err(problem) if problem.contains("refund_by_hand") => return Ok(false),
                Err(problem) => return Err(problem),
            };
            let again = self.patient("POST", &path, Some((&key, &body))).await?;
            if again["id"] != shown["id"] {
                return Err(format!("a double tap made a second refund: {} and {}", shown["id"], again["id"]));
            }
            if self.follow_refund(payment, &shown).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn follow_refund(&self, payment: &Value, begun: &Value) -> Result<bool, String> {
        let id = begun["id"].as_str().unwrap_or_default();
        let path = format!("/api/v1/refunds/{id}");
        let mut handle = None;
        loop {
            let shown = self.patient("GET", &path, None).await?;
            match shown["state"].as_str().unwrap_or_default() {
                "done" => return Ok(true),
                "failed" | "cancelled" => return Ok(false),
                "unresolved" => self.answer_refund(id, payment, &shown, handle.as_deref()).await?,
                _ => {}
            }
            handle = shown["handle"].as_str().map(str::to_owned).or(handle);
            self.clock.sleep(Duration::from_millis(1_500)).await;
        }
    }

    /// The cashier looks into the terminal's history.
    async fn answer_refund(
        &self,
        id: &str,
        payment: &Value,
        shown: &Value,
        handle: Option<&str>,
    ) -> Result<(), String> {
        let amount = shown["amount"].as_i64().unwrap_or_default();
        let (process, look) = self.look_at_refund(payment, amount, handle);
        let (outcome, transaction) = match look {
            Look::Paid(transaction) => ("returned", transaction),
            Look::NotPaid => ("not_returned", String::new()),
            Look::Wait => return Ok(()),
        };
        let body = json!({
            "by": "Кассир", "because": "посмотрел сам", "outcome": outcome, "transaction": transaction,
            "confirmed": outcome == "not_returned",
        });
        // Too early, or evidence came first: then there is nothing to answer.
        if self.patient("POST", &format!("/api/v1/refunds/{id}/answer"), Some(("", &body))).await.is_ok() {
            self.tally.answers.set(self.tally.answers.get() + 1);
            // Only what was answered is crossed off: an answer that came too early is given again.
            self.seen.borrow_mut().extend(process);
        }
        Ok(())
    }

    /// The refund that the daemon names, else the newest of this payment and sum that no refund is known by.
    fn look_at_refund(&self, payment: &Value, amount: i64, named: Option<&str>) -> (Option<String>, Look) {
        let till = payment["via"].as_str().unwrap_or_default();
        let place = till.trim_start_matches("till").parse::<usize>().unwrap_or(1).saturating_sub(1);
        let Some(terminal) = self.shop.world.terminals().get(place) else {
            return (None, Look::Wait);
        };
        let seen = self.seen.borrow();
        let operations = terminal.operations();
        let of = payment["transaction"].as_str();
        let found = operations.iter().rev().find(|one| {
            let is_it = match named {
                Some(named) => one.process_id == named,
                None => !seen.contains(&one.process_id),
            };
            one.is_refund && one.refund_of.as_deref() == of && one.amount == amount && is_it
        });
        let Some(found) = found else {
            return (None, Look::NotPaid);
        };
        let is_over = [OperationStatus::Success, OperationStatus::Fail].contains(&found.status);
        let look = match (&found.transaction_id, found.charged) {
            (transaction, true) => Look::Paid(transaction.clone().unwrap_or_else(|| found.process_id.clone())),
            (_, false) if is_over => Look::NotPaid,
            (_, false) => Look::Wait,
        };
        (Some(found.process_id.clone()), look)
    }

    /// Somebody makes the returns in the POS too, and settles what was asked about them; the cashier has the register and the
    /// printer try again what did not come through.
    pub(super) async fn settle_questions(&self) -> Result<(), String> {
        let status = self.patient("GET", "/api/v1/status", None).await?;
        for question in status["questions"].as_array().into_iter().flatten() {
            match question["code"].as_str().unwrap_or_default() {
                "pos_return" => {
                    let body = json!({ "by": "Администратор", "because": "возврат сделан в POS" });
                    let path = format!("/api/v1/questions/{}/answer", question["id"]);
                    self.patient("POST", &path, Some(("", &body))).await?;
                }
                "fiscal_refused" | "fiscal_uncertain" => {
                    let path = format!("/api/v1/fiscal/{}/retry", question["document"]);
                    // It may have come through meanwhile: then there is nothing to try again.
                    if self.patient("POST", &path, Some(("", &Value::Null))).await.is_ok() {
                        self.tally.answers.set(self.tally.answers.get() + 1);
                    }
                }
                // The printer did not prove the paper again and again, and nobody finds it: once more, marked as a repeat.
                "print" => {
                    let path = format!("/api/v1/jobs/{}/retry", question["job"]);
                    if self.patient("POST", &path, Some(("", &Value::Null))).await.is_ok() {
                        self.tally.answers.set(self.tally.answers.get() + 1);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
