//! One operation of the sandbox terminal: what the device says of it, and what the bank really did. The two differ while it is `unknown`.

use super::super::gate::shop_time;
use crate::domain::money::Tiyn;
use crate::domain::time::Wall;
use crate::host::clock::Monotonic;
use serde::Serialize;
use serde_json::{Value, json as object};

/// How the guest paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PayMethod {
    /// The app, by QR.
    Qr,
    /// A card.
    Card,
    /// The palm.
    Alaqan,
}

/// What the device says of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationStatus {
    /// In progress.
    Wait,
    /// The money moved.
    Success,
    /// It did not happen.
    Fail,
    /// The device does not know.
    Unknown,
}

/// An operation as tests and the control page see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OperationView {
    /// The device's name of it.
    pub process_id: String,
    /// Whole tenge.
    pub amount: i64,
    /// A refund and not a payment.
    pub is_refund: bool,
    /// The transaction that a refund belongs to.
    pub refund_of: Option<String>,
    /// What the device says.
    pub status: OperationStatus,
    /// What the bank did: the money really moved.
    pub charged: bool,
    /// How, once the guest chose.
    pub method: Option<PayMethod>,
    /// The bank's number, once the money moved.
    pub transaction_id: Option<String>,
    /// The device forgot it in a reboot.
    pub is_forgotten: bool,
    /// When it began.
    pub created: Wall,
    /// How often it was actualized in time.
    pub actualized: u32,
}

/// What the guest's money was, which the device names in `addInfo`: another commission, a shorter settlement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Product {
    /// The guest's own.
    #[default]
    Gold,
    /// Kaspi Red.
    Red,
    /// A loan.
    Loan {
        /// Its months.
        months: u32,
    },
    /// An instalment plan.
    Installment {
        /// Its months.
        months: u32,
    },
}

/// What is asked of the device.
pub(super) struct Wanted {
    /// Whole tenge.
    pub amount: i64,
    /// The sale that money goes back of: its method and transaction.
    pub refund: Option<(PayMethod, String)>,
}

/// One operation as the device holds it.
pub(super) struct Operation {
    pub view: OperationView,
    pub began: Monotonic,
    pub actualized_at: Option<Monotonic>,
    product: Product,
    message: String,
    sub_status: &'static str,
    unclear: Option<Unclear>,
}

/// An operation whose end the device does not know.
#[derive(Clone, Copy)]
pub(super) struct Unclear {
    /// How many `actualize` calls it takes.
    pub asks_left: u32,
    /// What it turns out to be.
    pub then_success: bool,
}

impl PayMethod {
    fn word(self) -> &'static str {
        match self {
            PayMethod::Qr => "qr",
            PayMethod::Card => "card",
            PayMethod::Alaqan => "alaqan",
        }
    }

    /// Reads the word of `method`.
    pub(super) fn from_word(word: &str) -> Option<PayMethod> {
        [PayMethod::Qr, PayMethod::Card, PayMethod::Alaqan].into_iter().find(|method| method.word() == word)
    }
}

impl OperationStatus {
    fn word(self) -> &'static str {
        match self {
            OperationStatus::Wait => "wait",
            OperationStatus::Success => "success",
            OperationStatus::Fail => "fail",
            OperationStatus::Unknown => "unknown",
        }
    }
}

impl Product {
    /// What a question about it is answered.
    pub fn shown(self) -> Value {
        let (kind, months, offer) = match self {
            Product::Gold => ("Gold", 0, ""),
            Product::Red => ("Red", 0, "Kaspi Red"),
            Product::Loan { months } => ("Loan", months, "Кредит на покупки"),
            Product::Installment { months } => ("Installment", months, "Рассрочка"),
        };
        object!({"IsOffer": !offer.is_empty(), "ProductType": kind, "LoanTerm": months, "LoanOfferName": offer})
    }
}

impl Operation {
    /// One that begins now.
    pub fn new(process_id: String, wanted: Wanted, product: Product, now: Monotonic, wall: Wall) -> Operation {
        let sub_status = match &wanted.refund {
            None => "WaitUser",
            // A refund to a card needs no guest; the others are confirmed by a QR on the screen.
            Some((PayMethod::Card, _)) => "ProcessRefund",
            Some((PayMethod::Qr | PayMethod::Alaqan, _)) => "WaitForQrConfirmation",
        };
        let (method, refund_of) = wanted.refund.unzip();
        let amount = wanted.amount;
        let view = OperationView {
            process_id,
            amount,
            is_refund: refund_of.is_some(),
            refund_of,
            status: OperationStatus::Wait,
            charged: false,
            method,
            transaction_id: None,
            is_forgotten: false,
            created: wall,
            actualized: 0,
        };
        let message = String::new();
        Operation { view, began: now, actualized_at: None, product, message, sub_status, unclear: None }
    }

    /// The money moves.
    pub fn succeed(&mut self, method: PayMethod, transaction: String) {
        self.view.status = OperationStatus::Success;
        self.view.charged = true;
        self.view.method = Some(method);
        self.view.transaction_id = Some(transaction);
        self.message.clear();
        self.sub_status = match method {
            PayMethod::Card => "CardTransactionSuccess",
            PayMethod::Qr | PayMethod::Alaqan => "QrTransactionSuccess",
        };
    }

    /// It does not happen.
    pub fn fail(&mut self, message: &str, sub_status: &'static str) {
        self.view.status = OperationStatus::Fail;
        message.clone_into(&mut self.message);
        self.sub_status = sub_status;
    }

    /// The link to the bank breaks at the moment of payment: the money moved or not, and the device cannot tell.
    pub fn blur(&mut self, unclear: Unclear, transaction: String) {
        if unclear.then_success {
            self.succeed(self.view.method.unwrap_or(PayMethod::Qr), transaction);
        } else {
            self.fail("Операция не прошла", "QrTransactionFailure");
        }
        self.view.charged = unclear.then_success;
        self.view.status = OperationStatus::Unknown;
        self.unclear = Some(unclear);
    }

    /// The device asks the bank again.
    pub fn look_again(&mut self) {
        self.view.actualized += 1;
        let Some(unclear) = &mut self.unclear else { return };
        unclear.asks_left = unclear.asks_left.saturating_sub(1);
        if unclear.asks_left == 0 {
            let is_success = unclear.then_success;
            self.view.status = if is_success { OperationStatus::Success } else { OperationStatus::Fail };
            self.unclear = None;
        }
    }

    /// What the start is answered.
    pub fn accepted(&self) -> Value {
        object!({"processId": self.view.process_id, "status": "wait"})
    }

    /// What a question about it is answered.
    pub fn shown(&self) -> Value {
        let id = &self.view.process_id;
        match (self.view.status, self.view.method, &self.view.transaction_id) {
            (OperationStatus::Success, Some(method), Some(transaction)) => object!({
                "processId": id, "status": "success", "subStatus": self.sub_status, "transactionId": transaction,
                "addInfo": self.product.shown(),
                "chequeInfo": self.cheque(method, transaction),
            }),
            (OperationStatus::Unknown, _, _) => {
                object!({"processId": id, "status": "unknown", "message": "Статус операции неизвестен"})
            }
            (status, _, _) => {
                let status = status.word();
                object!({"processId": id, "status": status, "subStatus": self.sub_status, "message": self.message})
            }
        }
    }

    fn cheque(&self, method: PayMethod, transaction: &str) -> Value {
        let sign = if self.view.is_refund { "-" } else { "" };
        let amount = Tiyn::from_tenge(self.view.amount).unwrap_or_default();
        let mut cheque = object!({
            "method": method.word(),
            "storeName": "Дастархан", "city": "Алматы", "address": "пр. Абая, 1", "bin": "000000000000", "terminalId": "10053862",
            "date": shop_time(self.view.created, "%d.%m.%y %H:%M:%S"),
            "status": "Одобрено", "amount": format!("{sign}{amount} ₸"),
            "type": if self.view.is_refund { "refund" } else { "payment" },
        });
        let own = match method {
            PayMethod::Card => object!({
                "rrn": transaction, "authorizationCode": "123456", "hostResponseCode": "00",
                "cardMask": "440043******0000", "icc": "",
            }),
            PayMethod::Qr | PayMethod::Alaqan => object!({"orderNumber": transaction}),
        };
        if let (Some(cheque), Some(own)) = (cheque.as_object_mut(), own.as_object()) {
            cheque.extend(own.clone());
        }
        cheque
    }
}
