//! The cash register of the lunch: change is put in before the first guest and the notes are counted after the last one; in between its
//! answers are lost, its operator goes away, and for a long stretch the whole of it is out of reach while guests go on paying.

use super::{Lunch, Sold, shown};
use crate::sandbox::faults::{Fault, Rule};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::watch;

/// Change in the drawer when the doors open, in whole tenge.
pub(in super::super) const FLOAT_TENGE: i64 = 50_000;

/// From so many orders on the register is away for longer than a guest waits for paper.
const LONG_FROM: usize = 200;

/// How long the register is out of reach in a long lunch: longer than the quarter of an hour after which a receipt is not printed by itself.
const AWAY_LONG: Duration = Duration::from_secs(25 * 60);

/// The same in a short lunch.
const AWAY_SHORT: Duration = Duration::from_secs(2 * 60);

/// What happens to the register.
enum Strike {
    /// All logins end.
    Tokens,
    /// The answer of the next document is −1; whether it is made all the same.
    Unknown(bool),
    /// The next call is sent to another host, which is the same.
    OtherHost,
    /// The operator of fiscal data is away: receipts are autonomous.
    Operator,
    /// Nothing of it can be reached.
    Away(Duration),
}

impl Lunch<'_> {
    /// Change for the drawer, before the first guest.
    pub(super) async fn morning(&self) -> Result<(), String> {
        self.move_cash(true, FLOAT_TENGE, "размен").await
    }

    /// The notes above the change are counted and taken out, and the shift is closed.
    pub(super) async fn evening(&self, sold: &[Sold]) -> Result<(), String> {
        let taken: i64 = sold.iter().map(|order| order.cash_tenge - order.cash_returned_tenge).sum();
        if taken > 0 {
            self.move_cash(false, taken, "инкассация").await?;
        }
        self.patient("POST", "/api/v1/fiscal/z", Some(("", &json!({ "by": "Кассир" })))).await.map(drop)
    }

    async fn move_cash(&self, is_in: bool, tenge: i64, because: &str) -> Result<(), String> {
        let body = json!({ "in": is_in, "amount": tenge, "by": "Кассир", "because": because });
        self.patient("POST", "/api/v1/fiscal/cash", Some(("", &body))).await.map(drop)
    }

    /// What still waits for the register, and what of it the POS does not know yet.
    pub(super) async fn left_at_register(&self) -> Result<Vec<String>, String> {
        let told = self.patient("GET", "/api/v1/fiscal", None).await?;
        let is_open = |one: &Value| one["may_retry"] == json!(true) || one["pos"] == json!("waiting");
        let mut left = shown(&told["documents"], is_open);
        if told["waiting"] != json!(0) && left.is_empty() {
            left.push(format!("{} receipts wait for the register", told["waiting"]));
        }
        Ok(left)
    }

    /// Bad luck by chance, from the first guest to the last.
    pub(super) fn trouble_register(&self) {
        let webkassa = self.shop.world.webkassa();
        let chances = [
            (Fault::LoseReply, 20),
            (Fault::DropBefore, 20),
            (Fault::Garbage, 8),
            (Fault::Truncated, 8),
            (Fault::Status(502), 10),
            (Fault::Slow(Duration::from_secs(15)), 15),
        ];
        for (fault, per_mille) in chances {
            webkassa.faults().chance(fault, per_mille);
        }
        let lost = |call: &str, skip| Rule { call: call.to_owned(), fault: Fault::LoseReply, times: 1, skip };
        webkassa.faults().add(lost("check", 1));
        webkassa.faults().add(lost("print_format", 0));
        webkassa.faults().add(lost("authorize", 1));
    }

    /// What happens to the register on its day, each at its place among the guests.
    pub(super) async fn strike_register(&self, all: usize, is_over: watch::Receiver<bool>) -> Result<(), String> {
        let away = if all < LONG_FROM { AWAY_SHORT } else { AWAY_LONG };
        let strikes = [
            (all / 12, Strike::Tokens),
            (all / 7, Strike::Unknown(true)),
            (all / 5, Strike::OtherHost),
            (all / 4, Strike::Operator),
            (all * 2 / 5, Strike::Unknown(false)),
            (all / 2, Strike::Away(away)),
            (all * 4 / 5, Strike::Tokens),
        ];
        for (at, strike) in &strikes {
            // The long stretch is played even where the last guest was quicker.
            if !self.reached(*at, is_over.clone()).await && !matches!(strike, Strike::Away(_)) {
                continue;
            }
            self.strike_once(strike).await?;
        }
        Ok(())
    }

    async fn strike_once(&self, strike: &Strike) -> Result<(), String> {
        let webkassa = self.shop.world.webkassa();
        match strike {
            Strike::Tokens => webkassa.expire_tokens(),
            Strike::Unknown(is_made) => webkassa.answer_unknown_once(*is_made),
            Strike::OtherHost => {
                let base = self.shop.world.webkassa_base();
                webkassa.answer_505_once(&["nowhere.example", base.trim_start_matches("http://")]);
            }
            Strike::Operator => {
                webkassa.set_autonomous(true);
                self.clock.sleep(Duration::from_secs(15 + self.ids.below(30))).await;
                webkassa.set_autonomous(false);
            }
            Strike::Away(pause) => {
                webkassa.faults().set_down(true);
                self.clock.sleep(*pause).await;
                let told = self.patient("GET", "/api/v1/fiscal", None).await?;
                self.tally.register_away.set(*pause);
                self.tally.waited.set(told["waiting"].as_i64().unwrap_or_default());
                webkassa.faults().set_down(false);
            }
        }
        Ok(())
    }
}
