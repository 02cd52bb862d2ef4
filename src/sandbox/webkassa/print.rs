//! The form of a receipt on paper (fiscal-kz §1.8, §4): blocks in their order, labels in two languages, lines padded and centred to 48 or
//! 36 columns. The partner's own oddities are kept: a sum that does not fit its line stands at the left of the next one.

use super::check::{Check, Position, pay_code};
use super::envelope::quantity_text;
use super::till::Receipt;
use super::{Operator, WebkassaOptions};
use crate::domain::fiscal::Side;
use crate::domain::money::Tiyn;
use serde_json::{Value, json as object};

/// A label in Kazakh and in Russian (§4.1).
type Label = (&'static str, &'static str);

const BIN: Label = ("БСН", "БИН");
const VAT_CERTIFICATE: Label = ("ҚҚС Сериясы", "НДС Серия");
const SHIFT: Label = ("Ауысым", "Смена");
const RECEIPT: Label = ("Чек", "Чек");
const CASHIER: Label = ("Кассир", "Кассир");
const SALE: Label = ("САТУ", "ПРОДАЖА");
const SALE_RETURN: Label = ("САТУДЫ ҚАЙТАРУ", "ВОЗВРАТ ПРОДАЖИ");
const ORDER: Label = ("Тапсырыс нөмірі", "Номер заказа");
const MARKING: Label = ("Таңбалау", "Маркировка");
const LINE_SUM: Label = ("Құны", "Стоимость");
const DISCOUNT: Label = ("Жеңілдік", "Скидка");
const MARKUP: Label = ("Үстеме", "Наценка");
const CASH: Label = ("Қолма-қол", "Наличные");
const CARD: Label = ("Банк картасы", "Банковская карта");
const MOBILE: Label = ("Мобильді төлем", "Мобильный платеж");
const CHANGE: Label = ("Қайтарым", "Сдача");
const TOTAL: Label = ("БАРЛЫҒЫ", "ИТОГО");
const VAT: Label = ("соның ішінде ҚҚС", "в т.ч. НДС");
const BUYER: Label = ("Клиенттің ЖСН/БСН", "ИИН/БИН клиента");
const SIGN: Label = ("ФБ", "ФП");
const TIME: Label = ("Уақыты", "Время");
const CHECK_SITE: Label = ("Чекті тексеру үшін сайтқа кіріңіз", "Для проверки чека зайдите на сайт");
const AUTONOMOUS: Label = ("Автономды режим", "Автономный режим");
const FISCAL: Label = ("ФИСКАЛДЫ ЧЕК", "ФИСКАЛЬНЫЙ ЧЕК");
const IDENTITY: Label = ("КСН", "ИНК");
const REGISTRATION: Label = ("МКК БКМ коды (КТН)", "Код ККМ КГД (РНМ)");
const SERIAL: Label = ("КЗН", "ЗНМ");
const COPY: Label = ("КӨШІРМЕ", "ДУБЛИКАТ");
const PROVIDER: &str = "WEBKASSA.KZ";
/// How far the lines of a position stand from the left.
const INDENT: usize = 3;

/// A language of the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tongue {
    Kazakh,
    Russian,
}

impl Tongue {
    /// The language of a header (`kk-KZ`, `ru-RU`); none for any other: their labels are not known.
    pub(super) fn of(header: Option<&str>) -> Option<Tongue> {
        match header?.trim().get(..2)?.to_ascii_lowercase().as_str() {
            "kk" => Some(Tongue::Kazakh),
            "ru" => Some(Tongue::Russian),
            _ => None,
        }
    }
}

/// How a receipt is to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub columns: usize,
    pub first: Tongue,
    pub is_copy: bool,
    /// Sums with a point and without groups, as some answers of `check` were seen.
    pub has_points: bool,
}

/// The lines of a receipt as the partner tells them.
pub(super) fn lines(receipt: &Receipt, options: &WebkassaOptions, form: Form) -> Value {
    let mut sheet = Sheet { form, lines: Vec::new() };
    sheet.head(receipt, options);
    let check = &receipt.check;
    if !check.order.is_empty() {
        sheet.text(&format!("{}: {}", sheet.label(ORDER), check.order));
    }
    for (place, position) in (1..).zip(&check.positions) {
        sheet.position(place, position);
    }
    for modifier in &check.modifiers {
        let sum = sheet.sum(modifier.sum);
        sheet.pair(0, &modifier.text, &sum);
    }
    sheet.rule();
    sheet.money(check);
    sheet.rule();
    sheet.foot(receipt, options);
    (1..).zip(sheet.lines).map(|(order, line)| line.told(order)).collect()
}

/// The payload of the QR code (§3.3).
pub(super) fn ticket_url(receipt: &Receipt, options: &WebkassaOptions) -> String {
    let sum = receipt.check.total;
    format!(
        "http://{}?i={}&f={}&s={}.{:02}&t={}",
        options.operator.host,
        receipt.sign,
        options.registration,
        sum.0 / 100,
        sum.0 % 100,
        crate::sandbox::gate::shop_time(receipt.at, "%Y%m%dT%H%M%S"),
    )
}

struct Line {
    value: String,
    is_bold: bool,
    is_qr: bool,
}

impl Line {
    fn told(self, order: usize) -> Value {
        let (kind, style) = (if self.is_qr { 2 } else { 0 }, i32::from(self.is_bold));
        object!({"Order": order, "Type": kind, "Value": self.value, "Style": style})
    }
}

struct Sheet {
    form: Form,
    lines: Vec<Line>,
}

impl Sheet {
    fn head(&mut self, receipt: &Receipt, options: &WebkassaOptions) {
        if self.form.is_copy {
            self.centred(&self.label(COPY), true);
        }
        self.centred(&options.taxpayer, false);
        self.centred(&format!("{} {}", self.label(BIN), options.bin), false);
        if let Some((series, number)) = &options.vat_certificate {
            let series = format!("{} {series}", self.label(VAT_CERTIFICATE));
            self.pair(0, &series, &format!("№{number}"));
        }
        self.rule();
        self.centred(&options.name, false);
        self.centred(&format!("{} {}", self.label(SHIFT), receipt.shift), false);
        self.text(&format!("{} №{}", self.label(RECEIPT), receipt.sign));
        self.text(&format!("{} {}", self.label(CASHIER), options.cashier));
        let title = match receipt.check.side {
            Side::Sale => SALE,
            Side::Return => SALE_RETURN,
        };
        let title = self.label(title);
        self.pair(0, &title, &format!("№{}", receipt.number));
        self.rule();
    }

    fn position(&mut self, place: usize, position: &Position) {
        self.wrapped(&format!("  {place}. {}", position.name), INDENT);
        if !position.mark.is_empty() {
            let mark = format!("{}{}: {}", " ".repeat(INDENT), self.label(MARKING), position.mark);
            self.wrapped(&mark, INDENT);
        }
        let count = quantity_text(position.count_milli);
        let count = if self.form.has_points { count } else { count.replace('.', ",") };
        let unit = self.label((position.unit.kk, position.unit.ru));
        let price = self.sum(position.price);
        self.wrapped(&format!("{}{count} {unit} x {price}", " ".repeat(INDENT)), INDENT);
        for (label, sum, sign) in [(DISCOUNT, position.discount, '-'), (MARKUP, position.markup, '+')] {
            if sum.0 > 0 {
                let (label, sum) = (self.label(label), format!("{sign}{}", self.sum(sum)));
                self.pair(INDENT, &label, &sum);
            }
        }
        let (label, sum) = (self.label(LINE_SUM), self.sum(position.sum));
        self.pair(INDENT, &label, &sum);
    }

    fn money(&mut self, check: &Check) {
        for (kind, sum) in &check.payments {
            let label = match pay_code(*kind) {
                0 => CASH,
                1 => CARD,
                _ => MOBILE,
            };
            self.labelled(label, *sum, false);
        }
        if check.change.0 > 0 {
            self.labelled(CHANGE, check.change, false);
        }
        self.labelled(TOTAL, check.total, true);
        for (percent, sum) in check.taxes() {
            let (label, sum) = (format!("{} {percent}%:", self.label(VAT)), self.sum(sum));
            self.pair(0, &label, &sum);
        }
        if !check.buyer.is_empty() || !check.email.is_empty() {
            self.rule();
        }
        if !check.buyer.is_empty() {
            self.text(&format!("{}: {}", self.label(BUYER), check.buyer));
        }
        if !check.email.is_empty() {
            self.text(&format!("E-mail: {}", check.email));
        }
    }

    fn foot(&mut self, receipt: &Receipt, options: &WebkassaOptions) {
        self.text(&format!("{}: {}", self.label(SIGN), receipt.sign));
        self.text(&format!("{}: {}", self.label(TIME), receipt.at_text()));
        let Operator { name, name_kz, host, .. } = &options.operator;
        let kazakh = (options.address_kz.clone(), format!("ФДО: {name_kz}"));
        let russian = (options.address.clone(), format!("ОФД: {name}"));
        let (first, second) = match self.form.first {
            Tongue::Kazakh => (kazakh, russian),
            Tongue::Russian => (russian, kazakh),
        };
        for text in [&first.0, &second.0, &first.1, &second.1] {
            self.text(text);
        }
        self.text(&format!("{}: {host}", self.label(CHECK_SITE)));
        if receipt.is_autonomous {
            self.centred(&self.label(AUTONOMOUS), true);
        }
        self.rule();
        self.centred(&self.label(FISCAL), true);
        self.lines.push(Line { value: ticket_url(receipt, options), is_bold: false, is_qr: true });
        self.centred(&format!("{}: {}", self.label(IDENTITY), options.identity), false);
        self.centred(&format!("{}: {}", self.label(REGISTRATION), options.registration), false);
        self.centred(&format!("{}: {}", self.label(SERIAL), options.cashbox), false);
        self.centred(PROVIDER, false);
    }

    fn label(&self, (kazakh, russian): Label) -> String {
        match self.form.first {
            Tongue::Kazakh => format!("{kazakh}/{russian}"),
            Tongue::Russian => format!("{russian}/{kazakh}"),
        }
    }

    fn sum(&self, sum: Tiyn) -> String {
        let (tenge, tiyn) = (sum.0.abs() / 100, sum.0.abs() % 100);
        let sign = if sum.0 < 0 { "-" } else { "" };
        if self.form.has_points {
            return format!("{sign}{tenge}.{tiyn:02}");
        }
        let digits = tenge.to_string();
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place) % 3 == 0 {
                grouped.push('\u{a0}');
            }
            grouped.push(digit);
        }
        format!("{sign}{grouped},{tiyn:02}")
    }

    fn labelled(&mut self, label: Label, sum: Tiyn, is_bold: bool) {
        let (label, sum) = (format!("{}:", self.label(label)), self.sum(sum));
        let start = self.lines.len();
        self.pair(0, &label, &sum);
        self.lines.iter_mut().skip(start).for_each(|line| line.is_bold = is_bold);
    }

    fn push(&mut self, value: String, is_bold: bool) {
        self.lines.push(Line { value, is_bold, is_qr: false });
    }

    fn rule(&mut self) {
        self.push("-".repeat(self.form.columns), false);
    }

    fn text(&mut self, text: &str) {
        self.wrapped(text, 0);
    }

    /// A text from the left; what goes to further lines stands as far in as told.
    fn wrapped(&mut self, text: &str, indent: usize) {
        let start = text.len() - text.trim_start_matches(' ').len();
        let (mut line, mut is_begun) = (" ".repeat(start), false);
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let gap = usize::from(is_begun);
            if is_begun && letters(&line) + gap + letters(word) > self.form.columns {
                self.push(std::mem::replace(&mut line, " ".repeat(indent)), false);
            } else if is_begun {
                line.push(' ');
            }
            line.push_str(word);
            is_begun = true;
        }
        self.push(line, false);
    }

    fn centred(&mut self, text: &str, is_bold: bool) {
        let start = self.lines.len();
        self.wrapped(text, 0);
        for line in self.lines.iter_mut().skip(start) {
            let room = self.form.columns.saturating_sub(letters(&line.value));
            line.value = format!("{}{}", " ".repeat(room / 2), line.value);
            line.is_bold = is_bold;
        }
    }

    /// A text at the left and a sum at the right edge; where both do not fit, the sum stands at the left of the next line.
    fn pair(&mut self, indent: usize, left: &str, right: &str) {
        let left = format!("{}{left}", " ".repeat(indent));
        let used = letters(&left) + letters(right);
        if used < self.form.columns {
            return self.push(format!("{left}{}{right}", " ".repeat(self.form.columns - used)), false);
        }
        self.wrapped(&left, indent);
        self.push(format!("{}{right}", " ".repeat(indent)), false);
    }
}

fn letters(text: &str) -> usize {
    text.chars().count()
}
