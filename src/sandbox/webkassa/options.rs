//! How a sandbox Webkassa and its only cashbox are set up: the requisites of the shop, and a switch for each point where the reference
//! doubts (fiscal-kz §6). The values are nobody's.

use super::envelope::STALE_TOKEN;
use std::time::Duration;

/// What "rounding" does; the reference has both readings (§1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest tenge, halves up.
    HalfUp,
    /// To the next tenge.
    Up,
}

/// The operator of fiscal data (§2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Its name in Russian.
    pub name: String,
    /// Its name in Kazakh.
    pub name_kz: String,
    /// Where receipts are checked, with its path if there is one.
    pub host: String,
    /// Webkassa's number of it.
    pub code: i64,
}

/// How this Webkassa and its only cashbox are set up.
#[derive(Clone, Debug)]
pub struct WebkassaOptions {
    /// The `x-api-key` of every call.
    pub api_key: String,
    /// The cashier's login.
    pub login: String,
    /// The cashier's password.
    pub password: String,
    /// The cashier's name.
    pub cashier: String,
    /// Factory number of the cashbox (ЗНМ).
    pub cashbox: String,
    /// Its name.
    pub name: String,
    /// Registration number (РНМ).
    pub registration: String,
    /// Its id at the operator (ИНК).
    pub identity: String,
    /// Who sells.
    pub taxpayer: String,
    /// Their BIN.
    pub bin: String,
    /// Series and number of the VAT certificate; none where the seller pays no VAT.
    pub vat_certificate: Option<(String, String)>,
    /// Address in Russian.
    pub address: String,
    /// Address in Kazakh.
    pub address_kz: String,
    /// The operator of fiscal data.
    pub operator: Operator,
    /// How long a login lasts.
    pub token_life: Duration,
    /// The code for a token that is missing, wrong or too old: 2, or 3.
    pub stale_token_code: i64,
    /// Whether a call without the right key gets HTTP 401; else code 3 (§6, question 10).
    pub answers_401_without_key: bool,
    /// Whether code 14 brings the data of the first receipt (§1.11).
    pub answers_14_with_data: bool,
    /// Whether the operator is away from the beginning.
    pub autonomous: bool,
    /// Whether the cashbox may issue autonomous receipts at all; else 1013.
    pub allows_autonomous: bool,
    /// Whether a return of a receipt that this cashbox does not know is accepted.
    pub accepts_unknown_basis: bool,
    /// Whether a cash return above the drawer is refused with 8; the reference does not say.
    pub refuses_refund_above_drawer: bool,
    /// What rounding does.
    pub rounding: Rounding,
    /// Rates of VAT, in per cent; 12 is for returns of 2025.
    pub rates: Vec<i64>,
    /// The longest name of a position, in characters.
    pub name_letters_max: usize,
    /// Columns on 80 mm and on 58 mm.
    pub columns: (usize, usize),
    /// Whether the lines in the answer of `check` write sums with a point and without groups (§1.8).
    pub check_writes_points: bool,
}

impl Default for WebkassaOptions {
    fn default() -> WebkassaOptions {
        let secret = || "sandbox".to_owned();
        WebkassaOptions {
            api_key: secret(),
            login: secret(),
            password: secret(),
            cashier: "Айгерім".to_owned(),
            cashbox: "SWK00010001".to_owned(),
            name: "Касса 1".to_owned(),
            registration: "010000000017".to_owned(),
            identity: "7001".to_owned(),
            taxpayer: "ЖШС/ТОО «Дастархан»".to_owned(),
            bin: "000000000017".to_owned(),
            vat_certificate: Some(("10001".to_owned(), "0000017".to_owned())),
            address: "г. Алматы, пр. Абая, д. 1".to_owned(),
            address_kz: "Алматы қ., Абай даңғ., 1 үй".to_owned(),
            operator: Operator {
                name: "АО «Песочница»".to_owned(),
                name_kz: "«Песочница» АҚ".to_owned(),
                host: "consumer.ofd.example".to_owned(),
                code: 1,
            },
            token_life: Duration::from_secs(24 * 3600),
            stale_token_code: STALE_TOKEN,
            answers_401_without_key: false,
            answers_14_with_data: true,
            autonomous: false,
            allows_autonomous: true,
            accepts_unknown_basis: false,
            refuses_refund_above_drawer: false,
            rounding: Rounding::HalfUp,
            rates: vec![5, 10, 12, 16],
            name_letters_max: 256,
            columns: (48, 36),
            check_writes_points: false,
        }
    }
}
