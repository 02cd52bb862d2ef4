//! One document of each kind, as a shop in Kazakhstan prints them: for `print-test`, the demo and the tests alike.

use crate::domain::money::Tiyn;
use crate::domain::order::{Line, Milli};
use crate::domain::paper::{
    Document, PaymentLine, QrBlock, Receipt, RefundSlip, Report, ReportKind, ReportRow, Slip, TestSlip, Ticket,
    TicketKind, TicketLine,
};

mod fiscal;

const SHOP: &str = "Дастархан";
const ORDER: &str = "1950";
const REFERENCE: &str = "K3F9Q-1-1-1";

/// Every kind of document with a short name for files.
pub fn samples() -> Vec<(String, Document)> {
    let named: [(&str, Document); 9] = [
        ("receipt", receipt()),
        ("ticket-new", ticket(TicketKind::New)),
        ("ticket-addition", ticket(TicketKind::Addition)),
        ("ticket-cancel", ticket(TicketKind::Cancel)),
        ("refund", refund()),
        ("slip", slip()),
        ("report-x", report(ReportKind::X)),
        ("report-z", report(ReportKind::Z)),
        ("test", test()),
    ];
    named.into_iter().chain(fiscal::samples()).map(|(name, document)| (name.to_owned(), document)).collect()
}

fn receipt() -> Document {
    let lines = vec![
        dish("Лағман / Лагман уйгурский", 2_000, 4_800, &[]),
        dish("Бешбармақ, үлкен компанияға / Бешбармак на большую компанию", 1_000, 9_500, &["қазы, қарта"]),
        dish("Қой етінен кәуап / Шашлык из баранины", 350, 2_100, &["пиязсыз / без лука"]),
        dish("Бауырсақ", 1_000, 700, &[]),
        dish("Сүт қосылған шай / Чай с молоком 1 000 мл", 1_000, 1_200, &[]),
        dish("Нан / Лепёшка", 3_000, 900, &[]),
    ];
    let total = lines.iter().map(|line| line.sum).sum();
    Document::Receipt(Receipt {
        shop: SHOP.to_owned(),
        order_number: ORDER.to_owned(),
        table: "7".to_owned(),
        waiter: "Зал 2".to_owned(),
        lines,
        total,
        payments: vec![
            payment("Kaspi QR", 14_200, "14159265"),
            PaymentLine { tendered: Some(tenge(10_000)), ..payment("Қолма-қол / Наличные", 5_000, "") },
        ],
        paid_at: "21.11.2026 13:05".to_owned(),
        reference: REFERENCE.to_owned(),
        qr: Some(QrBlock {
            text: format!("kassad {REFERENCE}"), caption: "Төлем нөмірі / Номер оплаты".to_owned()
        }),
        issuer: String::new(),
    })
}

fn ticket(kind: TicketKind) -> Document {
    let (sequence, lines, comment) = match kind {
        TicketKind::New => (
            (1, 1),
            vec![
                portion(2_000, "Лағман / Лагман уйгурский", &["ащы / острый", "пиязсыз / без лука"], ""),
                portion(1_000, "Бешбармақ, үлкен табақ / Бешбармак на компанию", &[], "шаймен бірге / подать с чаем"),
                portion(350, "Қой етінен кәуап / Шашлык из баранины", &[], ""),
            ],
            "Қонақтың жаңғаққа аллергиясы бар / У гостя аллергия на орехи",
        ),
        TicketKind::Addition => ((2, 3), vec![portion(1_000, "Асқабақ самсасы / Самса с тыквой", &[], "")], ""),
        TicketKind::Cancel => ((3, 3), vec![portion(1_000, "Лағман / Лагман уйгурский", &["ащы / острый"], "")], ""),
    };
    Document::Ticket(Ticket {
        station: "Ыстық цех / Горячий цех".to_owned(),
        order_number: ORDER.to_owned(),
        table: "7".to_owned(),
        waiter: "Зал 2".to_owned(),
        kind,
        sequence,
        lines,
        comment: comment.to_owned(),
        at: "21.11.2026 12:40".to_owned(),
    })
}

fn refund() -> Document {
    Document::Refund(RefundSlip {
        shop: SHOP.to_owned(),
        order_number: ORDER.to_owned(),
        table: "7".to_owned(),
        amount: tenge(2_100),
        label: "Kaspi QR".to_owned(),
        transaction: "14159301".to_owned(),
        payment: REFERENCE.to_owned(),
        by: "кассир 1".to_owned(),
        because: "басқа тағам әкелінді / принесли другое блюдо".to_owned(),
        at: "21.11.2026 13:20".to_owned(),
        reference: "K3F9Q-1-R1".to_owned(),
    })
}

fn slip() -> Document {
    let text = ["KASPI POS", "ТЕРМИНАЛ      00417733", "КАРТА  ** 4312", "ҚОЛ ҚОЮ ҚАЖЕТ ЕМЕС / ПОДПИСЬ НЕ ТРЕБУЕТСЯ"];
    Document::Slip(Slip {
        shop: SHOP.to_owned(),
        order_number: ORDER.to_owned(),
        payment: payment("Банк картасы / Банковская карта", 14_200, "14159265"),
        text: text.map(str::to_owned).into(),
        at: "21.11.2026 13:05".to_owned(),
        reference: REFERENCE.to_owned(),
    })
}

fn report(kind: ReportKind) -> Document {
    let rows = vec![
        row("Kaspi QR", "Kaspi QR", 41, 612_400),
        row("Банк картасы", "Банковская карта", 12, 184_900),
        row("Қолма-қол", "Наличные", 9, 96_250),
        row("Қайтарулар", "Возвраты", 1, -2_100),
    ];
    let total = rows.iter().map(|row| row.sum).sum();
    let (end, at) = match kind {
        ReportKind::X => ("", "21.11.2026 17:30"),
        ReportKind::Z => ("22.11.2026 01:45", "22.11.2026 01:46"),
    };
    Document::Report(Report {
        kind,
        shop: SHOP.to_owned(),
        shift: "154".to_owned(),
        period: ("21.11.2026 09:00".to_owned(), end.to_owned()),
        rows,
        total,
        at: at.to_owned(),
    })
}

fn test() -> Document {
    let (shop, printer) = (SHOP.to_owned(), "receipt".to_owned());
    Document::Test(TestSlip { shop, printer, at: "21.11.2026 09:00".to_owned() })
}

const fn tenge(sum: i64) -> Tiyn {
    Tiyn(sum * 100)
}

fn dish(name: &str, quantity: i64, sum: i64, modifiers: &[&str]) -> Line {
    Line {
        key: name.to_owned(),
        name: name.to_owned(),
        modifiers: modifiers.iter().map(|text| (*text).to_owned()).collect(),
        quantity: Milli(quantity),
        sum: tenge(sum),
        workshop: None,
        comment: String::new(),
        unit: None,
        vat: None,
    }
}

fn portion(quantity: i64, name: &str, modifiers: &[&str], comment: &str) -> TicketLine {
    TicketLine {
        quantity: Milli(quantity),
        name: name.to_owned(),
        modifiers: modifiers.iter().map(|text| (*text).to_owned()).collect(),
        comment: comment.to_owned(),
    }
}

fn payment(label: &str, sum: i64, transaction: &str) -> PaymentLine {
    PaymentLine { label: label.to_owned(), amount: tenge(sum), transaction: transaction.to_owned(), tendered: None }
}

fn row(kazakh: &str, russian: &str, count: u64, sum: i64) -> ReportRow {
    ReportRow { russian: russian.to_owned(), kazakh: kazakh.to_owned(), count, sum: tenge(sum) }
}
