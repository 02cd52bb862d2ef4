//! The papers of a cash register as samples. Shop, register, operator and all numbers are made up; the register's lines are in the form
//! of fiscal-kz §4.4, of 48 columns for some and of 36 for others.

use super::{ORDER, REFERENCE, SHOP, dish, payment, tenge};
use crate::domain::fiscal::{
    Basis, Bill, Ever, Modifier, ModifierKind, Moved, PayKind, Payment, Position, PrintKind, PrintLine, Register,
    Registered, ShiftReport, Side, Turnover, UNIT_KILOGRAM, UNIT_PIECE, UNIT_SERVICE, Vat,
};
use crate::domain::money::Tiyn;
use crate::domain::order::Milli;
use crate::domain::paper::{CashSlip, Document, FiscalNotice, FiscalReceipt, PaymentLine, ReportKind, ShiftPaper};
use crate::drivers::printer::layout::fiscal::form;

const SIGN: &str = "2150417004417";
const REFUND: &str = "K3F9Q-1-R1";
const AT: &str = "21.11.2026 13:05:18";
const VAT: Vat = Vat(Some(16));

/// Every paper of a register with a short name for files.
pub(super) fn samples() -> Vec<(&'static str, Document)> {
    let sale = sale();
    vec![
        ("fiscal-sale", document(receipt(sale.clone(), 48))),
        ("fiscal-mixed", document(mixed())),
        ("fiscal-discount", document(receipt(discount(), 36))),
        ("fiscal-service", document(receipt(service(), 48))),
        ("fiscal-no-vat", document(no_vat())),
        ("fiscal-refund", document(refund())),
        ("fiscal-autonomous", document(autonomous())),
        ("fiscal-test", document(FiscalReceipt { is_test: true, ..receipt(sale.clone(), 48) })),
        (
            "fiscal-later",
            document(FiscalReceipt { paid_at: "21.11.2026 09:40".to_owned(), ..receipt(sale.clone(), 36) }),
        ),
        ("fiscal-looked-up", document(looked_up(sale))),
        ("fiscal-notice", notice(Side::Sale)),
        ("fiscal-notice-refund", notice(Side::Return)),
        ("fiscal-x", shift(ReportKind::X)),
        ("fiscal-z", shift(ReportKind::Z)),
        ("fiscal-cash-in", cash()),
    ]
}

fn document(receipt: FiscalReceipt) -> Document {
    Document::Fiscal(Box::new(receipt))
}

fn register() -> Register {
    let own = |text: &str| text.to_owned();
    Register {
        taxpayer: own("ЖШС/ТОО \"Дастархан Бағы\""),
        bin: own("111222333444"),
        serial: own("SWK00700417"),
        registration: own("600700000417"),
        identity: own("7700417"),
        address: own("г. Алматы, ул. Родниковая, д. 12"),
        address_kz: own("Алматы қ., Бұлақ к-сі, 12 үй"),
        operator: own("ТОО \"Образец ОФД\""),
        operator_kz: own("\"Үлгі ФДО\" ЖШС"),
        site: own("chek.ofd.example"),
        cashier: own("Касса 1"),
    }
}

fn position(name: &str, milli: i64, unit: u16, price: i64, vat: Vat) -> Position {
    let (quantity, price) = (Milli(milli), tenge(price));
    Position { name: name.to_owned(), quantity, unit, price, discount: Tiyn::ZERO, markup: Tiyn::ZERO, vat }
}

fn bill(side: Side, positions: Vec<Position>, modifiers: Vec<Modifier>) -> Bill {
    let order_number = ORDER.to_owned();
    let (payments, change, total) = (Vec::new(), Tiyn::ZERO, Tiyn::ZERO);
    let mut bill = Bill { side, order_number, positions, modifiers, payments, change, total };
    bill.total = bill.counted();
    bill.payments = vec![Payment { kind: PayKind::Mobile, sum: bill.total }];
    bill
}

fn sale() -> Bill {
    let positions = vec![
        position("Лағман/Лагман уйгурский", 2_000, UNIT_PIECE, 2_400, VAT),
        position("Бешбармақ, үлкен компанияға/Бешбармак на большую компанию", 1_000, UNIT_PIECE, 9_500, VAT),
        position("Қой етінен кәуап/Шашлык из баранины", 350, UNIT_KILOGRAM, 6_000, VAT),
        position("Шай/Чай", 1_000, UNIT_PIECE, 900, VAT),
    ];
    bill(Side::Sale, positions, Vec::new())
}

fn discount() -> Bill {
    let mut positions = vec![
        position("Лағман/Лагман уйгурский", 2_000, UNIT_PIECE, 2_400, VAT),
        position("Бауырсақ/Баурсаки", 1_000, UNIT_PIECE, 700, VAT),
    ];
    if let Some(first) = positions.first_mut() {
        first.discount = tenge(480);
    }
    let text = "Түскі жеңілдік/Скидка на обед 10%".to_owned();
    bill(Side::Sale, positions, vec![Modifier { kind: ModifierKind::Discount, text, sum: tenge(502), vat: VAT }])
}

fn service() -> Bill {
    let positions = vec![
        position("Манты", 1_000, UNIT_PIECE, 2_600, VAT),
        position("Айран", 2_000, UNIT_PIECE, 600, VAT),
        position("Қызмет көрсету/Обслуживание 10%", 1_000, UNIT_SERVICE, 380, VAT),
    ];
    bill(Side::Sale, positions, Vec::new())
}

/// The register's answer with its own form of so many columns.
fn answered(bill: &Bill, number: u64, columns: usize) -> Registered {
    let register = register();
    let (sum, at) = (bill.total.decimal(), "20261121T130518");
    let qr = format!("http://{}?i={SIGN}&f={}&s={sum}.00&t={at}", register.site, register.registration);
    let mut registered = Registered {
        sign: SIGN.to_owned(),
        number,
        shift: 154,
        at: AT.to_owned(),
        total: Some(bill.total),
        is_autonomous: false,
        is_register_autonomous: false,
        qr,
        register,
        lines: Vec::new(),
    };
    registered.lines = lines(bill, &registered, columns);
    registered
}

/// The form, with what a register knows of itself besides: its certificate and its name.
fn lines(bill: &Bill, registered: &Registered, columns: usize) -> Vec<PrintLine> {
    let text = |value: String| PrintLine { kind: PrintKind::Text, value, is_bold: false };
    let mut lines = form::lines(bill, registered, columns);
    let head = 2;
    let name = text(format!("{:>1$}", "Касса 1", (columns + 7) / 2));
    lines.insert(head + 1, name);
    if !bill.taxes().is_empty() {
        let certificate = "ҚҚС Сериясы/НДС Серия 00000";
        lines.insert(head, text(format!("{certificate}{:>1$}", "№0000417", columns - 27)));
    }
    lines
}

fn receipt(bill: Bill, columns: usize) -> FiscalReceipt {
    let registered = answered(&bill, 28, columns);
    let label = "Kaspi QR".to_owned();
    let transaction = "14159265".to_owned();
    let evidence = vec![PaymentLine { label, amount: bill.total, transaction, tendered: None }];
    FiscalReceipt {
        shop: SHOP.to_owned(),
        order_number: ORDER.to_owned(),
        table: "7".to_owned(),
        bill,
        registered,
        basis: None,
        evidence,
        paid_at: String::new(),
        reference: REFERENCE.to_owned(),
        is_test: false,
    }
}

fn mixed() -> FiscalReceipt {
    let mut bill = sale();
    bill.change = tenge(700);
    bill.payments =
        vec![Payment { kind: PayKind::Mobile, sum: tenge(13_000) }, Payment { kind: PayKind::Cash, sum: tenge(5_000) }];
    let cash =
        PaymentLine { tendered: Some(tenge(5_000)), ..payment("Қолма-қол / Наличные", 4_300, "") };
    FiscalReceipt { evidence: vec![payment("Kaspi QR", 13_000, "14159265"), cash], ..receipt(bill, 36) }
}

fn no_vat() -> FiscalReceipt {
    let positions = vec![
        position("Капучино", 2_000, UNIT_PIECE, 1_200, Vat(None)),
        position("Алма бәліші/Яблочный пирог", 1_000, UNIT_PIECE, 1_100, Vat(None)),
    ];
    let mut bill = bill(Side::Sale, positions, Vec::new());
    bill.payments = vec![Payment { kind: PayKind::Card, sum: bill.total }];
    let evidence = vec![payment("Банк картасы / Банковская карта", 3_500, "14159277")];
    FiscalReceipt { evidence, ..receipt(bill, 48) }
}

fn refund() -> FiscalReceipt {
    let positions = vec![position("Қой етінен кәуап/Шашлык из баранины", 350, UNIT_KILOGRAM, 6_000, VAT)];
    let mut back = receipt(bill(Side::Return, positions, Vec::new()), 48);
    back.basis = Some(Basis {
        sign: SIGN.to_owned(),
        at: AT.to_owned(),
        registration: register().registration,
        total: tenge(17_300),
        is_autonomous: false,
    });
    let (bill, registered) = (&back.bill, &mut back.registered);
    (registered.sign, registered.at, registered.number) =
        ("2150417004532".to_owned(), "21.11.2026 13:20:41".to_owned(), 31);
    registered.qr = registered.qr.replace(SIGN, &registered.sign).replace("T130518", "T132041");
    registered.lines = lines(bill, registered, 48);
    back.evidence = vec![payment("Kaspi QR", 2_100, "14159301")];
    back.reference = REFUND.to_owned();
    back
}

fn autonomous() -> FiscalReceipt {
    let mut receipt = receipt(service(), 48);
    let (bill, registered) = (&receipt.bill, &mut receipt.registered);
    (registered.is_autonomous, registered.is_register_autonomous) = (true, true);
    registered.lines = lines(bill, registered, 48);
    receipt
}

/// The answer was lost, and the look-up told neither lines nor code.
fn looked_up(sale: Bill) -> FiscalReceipt {
    let mut receipt = receipt(sale, 48);
    receipt.registered.lines.clear();
    receipt.registered.qr.clear();
    receipt
}

fn notice(side: Side) -> Document {
    let (lines, total, transaction, reference) = match side {
        Side::Sale => (
            vec![
                dish("Лағман / Лагман уйгурский", 2_000, 4_800, &[]),
                dish("Қой етінен кәуап / Шашлык из баранины", 350, 2_100, &["пиязсыз / без лука"]),
            ],
            6_900,
            "14159265",
            REFERENCE,
        ),
        Side::Return => (Vec::new(), 2_100, "14159301", REFUND),
    };
    Document::Notice(FiscalNotice {
        shop: SHOP.to_owned(),
        order_number: ORDER.to_owned(),
        table: "7".to_owned(),
        side,
        lines,
        total: tenge(total),
        payments: vec![payment("Kaspi QR", total, transaction)],
        at: "21.11.2026 13:05".to_owned(),
        number: 417,
        contact: "+7 700 000 04 17".to_owned(),
        reference: reference.to_owned(),
        is_test: false,
    })
}

fn shift(kind: ReportKind) -> Document {
    let (made, closed) = match kind {
        ReportKind::X => ("21.11.2026 17:30:02", ""),
        ReportKind::Z => ("22.11.2026 01:45:00", "22.11.2026 01:45:00"),
    };
    let paid = |kind, sum| Payment { kind, sum: tenge(sum) };
    let sales = Turnover {
        count: 62,
        count_ever: 8_417,
        taken: tenge(897_050),
        change: tenge(3_500),
        discount: tenge(12_480),
        markup: Tiyn::ZERO,
        vat: VAT.within(tenge(893_550)),
        payments: vec![paid(PayKind::Mobile, 612_400), paid(PayKind::Card, 184_900), paid(PayKind::Cash, 99_750)],
    };
    let sale_returns = Turnover {
        count: 1,
        count_ever: 23,
        taken: tenge(2_100),
        vat: VAT.within(tenge(2_100)),
        payments: vec![paid(PayKind::Mobile, 2_100)],
        ..Turnover::default()
    };
    let at_start = Ever { sales: tenge(98_400_250), sale_returns: tenge(41_300), ..Ever::default() };
    let report = ShiftReport {
        kind,
        register: register(),
        shift: 154,
        number: 154,
        documents: 64,
        opened: "21.11.2026 09:00:12".to_owned(),
        made: made.to_owned(),
        closed: closed.to_owned(),
        sales,
        purchases: Turnover::default(),
        sale_returns,
        purchase_returns: Turnover::default(),
        put_in: tenge(20_000),
        taken_out: Tiyn::ZERO,
        in_drawer: tenge(116_250),
        at_start,
        at_end: Ever { sales: tenge(99_293_800), sale_returns: tenge(43_400), ..Ever::default() },
        control: "417700154".to_owned(),
        is_autonomous: false,
    };
    Document::Shift(Box::new(ShiftPaper { shop: SHOP.to_owned(), report, is_test: false }))
}

fn cash() -> Document {
    let at = "21.11.2026 09:00:12".to_owned();
    let moved = Moved { shift: 154, at, in_drawer: Some(tenge(20_000)), is_autonomous: false, register: register() };
    Document::Cash(CashSlip {
        shop: SHOP.to_owned(),
        is_in: true,
        amount: tenge(20_000),
        by: "Касса 1".to_owned(),
        because: "ұсақ ақша / размен".to_owned(),
        moved: Some(moved),
        at: "21.11.2026 09:00".to_owned(),
        is_test: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_every_sample_agree() {
        let mut bills = 0;
        for (name, document) in samples() {
            if let Document::Fiscal(receipt) = document {
                assert_eq!(receipt.bill.check(), Ok(()), "{name}");
                bills += 1;
            }
        }
        assert_eq!(bills, 10);
    }
}
