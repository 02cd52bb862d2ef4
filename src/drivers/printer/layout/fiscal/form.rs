//! A receipt in the form of the registers, as lines of their width (fiscal-kz §4.1, §4.2, §4.4): what is printed where a register told
//! its sign and no form of its own, and what the samples show. Every requisite that is known stands on it in two languages (§3.2); what
//! is not known is left out, never made up.

use super::super::{width, wrap};
use super::{BIN, SERIAL, SHIFT};
use crate::domain::fiscal::{Bill, ModifierKind, PayKind, Position, PrintKind, PrintLine, Registered, Side};
use crate::domain::money::Tiyn;
use std::fmt::Write as _;

/// Between the thousands of a sum, as registers write it (§1.8).
const THIN: &str = "\u{A0}";

/// Codes of units with their words, Kazakh first (§1.10).
const UNITS: [(u16, &str); 17] = [
    (796, "дана/шт"),
    (166, "кг"),
    (163, "г"),
    (112, "литр"),
    (111, "мл"),
    (868, "бөтелке/бутылка"),
    (5114, "бір қызмет/одн.усл."),
    (778, "орама/упак."),
    (839, "жиынтық/комплект"),
    (704, "жиынтық/набор"),
    (715, "жұп/пара"),
    (356, "сағат/час"),
    (792, "адам/чел."),
    (812, "жәшік/ящик"),
    (879, "шартты дана/штука условная"),
    (6, "м"),
    (168, "т"),
];

/// The lines of a receipt for a register's paper of so many columns.
pub fn lines(bill: &Bill, registered: &Registered, columns: usize) -> Vec<PrintLine> {
    let mut form = Form { columns: columns.max(16), lines: Vec::with_capacity(48) };
    form.head(bill.side, registered);
    form.positions(bill);
    form.sums(bill);
    form.facts(registered);
    form.end(bill, registered);
    form.lines
}

/// What the code of a receipt holds: what the register told, else built by the mask (§3.3) where all its parts are known.
pub fn code(bill: &Bill, registered: &Registered) -> Option<String> {
    if !registered.qr.is_empty() {
        return Some(registered.qr.clone());
    }
    let (sign, registration) = (&registered.sign, &registered.register.registration);
    let site = registered.register.site.trim();
    let at = compact(&registered.at)?;
    if [sign.as_str(), registration.as_str(), site].contains(&"") {
        return None;
    }
    let site = if site.contains("://") { site.to_owned() } else { format!("http://{site}") };
    let total = registered.total.unwrap_or(bill.total);
    let (tenge, tiyn) = (total.0 / 100, total.0 % 100);
    (total > Tiyn::ZERO).then(|| format!("{site}?i={sign}&f={registration}&s={tenge}.{tiyn:02}&t={at}"))
}

/// `21.11.2026 13:05:18` as `20261121T130518`; `None` for any other form.
fn compact(at: &str) -> Option<String> {
    let (date, time) = at.split_once(' ')?;
    let parts = |text: &str, sign| text.split(sign).map(str::to_owned).collect::<Vec<_>>();
    let (date, time) = (parts(date, '.'), parts(time, ':'));
    let ([day, month, year], [hour, minute, second]) = (date.as_slice(), time.as_slice()) else { return None };
    let is_even = |part: &&String, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    let pairs = [day, month, hour, minute, second];
    let is_whole = pairs.iter().all(|part| is_even(part, 2)) && is_even(&year, 4);
    is_whole.then(|| format!("{year}{month}{day}T{hour}{minute}{second}"))
}

/// A sum as registers write it: `4 800,00`.
pub fn money(sum: Tiyn) -> String {
    let text = sum.to_string().replace(' ', THIN);
    if text.contains(',') { text } else { text + ",00" }
}

/// How a kind of payment is called.
pub const fn pay_words(kind: PayKind) -> (&'static str, &'static str) {
    match kind {
        PayKind::Cash => ("Қолма-қол", "Наличные"),
        PayKind::Card => ("Банк картасы", "Банковская карта"),
        PayKind::Mobile => ("Мобильді төлем", "Мобильный платеж"),
    }
}

struct Form {
    columns: usize,
    lines: Vec<PrintLine>,
}

impl Form {
    fn head(&mut self, side: Side, registered: &Registered) {
        let register = &registered.register;
        self.centre(&register.taxpayer, false);
        self.centre(&labelled(&format!("{}/{}", BIN.0, BIN.1), &register.bin), false);
        self.rule();
        if registered.shift > 0 {
            self.centre(&format!("{}/{} {}", SHIFT.0, SHIFT.1, registered.shift), false);
        }
        self.text("", &labelled("Чек/Чек", &format!("№{}", registered.sign)));
        self.text("", &labelled("Кассир/Кассир", &register.cashier));
        let title = match side {
            Side::Sale => "САТУ/ПРОДАЖА",
            Side::Return => "САТУДЫ ҚАЙТАРУ/ВОЗВРАТ ПРОДАЖИ",
        };
        let number = if registered.number > 0 { format!("№{}", registered.number) } else { String::new() };
        self.pair(title, &number, false);
        self.rule();
    }

    fn positions(&mut self, bill: &Bill) {
        self.text("", &labelled("Тапсырыс нөмірі/Номер заказа:", &bill.order_number));
        for (place, position) in bill.positions.iter().enumerate() {
            self.position(place + 1, position);
        }
        for modifier in &bill.modifiers {
            let words = match modifier.kind {
                ModifierKind::Discount => "Жеңілдік/Скидка",
                ModifierKind::Surcharge => "Үстеме/Наценка",
            };
            let text = modifier.text.trim();
            self.pair(if text.is_empty() { words } else { text }, &money(modifier.sum), false);
        }
        self.rule();
    }

    fn position(&mut self, number: usize, position: &Position) {
        self.text(&format!("  {number}. "), &position.name);
        let unit = UNITS.iter().find(|(code, _)| *code == position.unit);
        let unit = unit.map_or_else(|| format!("({})", position.unit), |(_, words)| (*words).to_owned());
        self.text("   ", &format!("{} {unit} x {}", position.quantity, money(position.price)));
        if position.discount > Tiyn::ZERO {
            self.pair("   Жеңілдік/Скидка", &format!("-{}", money(position.discount)), false);
        }
        if position.markup > Tiyn::ZERO {
            self.pair("   Үстеме/Наценка", &format!("+{}", money(position.markup)), false);
        }
        self.pair("   Құны/Стоимость", &money(position.sum()), false);
    }

    fn sums(&mut self, bill: &Bill) {
        for payment in &bill.payments {
            let (kazakh, russian) = pay_words(payment.kind);
            self.pair(&format!("{kazakh}/{russian}:"), &money(payment.sum), false);
        }
        if bill.change > Tiyn::ZERO {
            self.pair("Қайтарым/Сдача:", &money(bill.change), false);
        }
        self.pair("БАРЛЫҒЫ/ИТОГО:", &money(bill.total), true);
        let taxes = bill.taxes();
        for (percent, tax) in &taxes {
            self.pair(&format!("соның ішінде ҚҚС/в т.ч. НДС {percent}%:"), &money(*tax), false);
        }
        let untaxed = bill.positions.iter().filter(|one| one.vat.0.is_none()).map(Position::sum);
        let added =
            bill.modifiers.iter().filter(|one| one.vat.0.is_none()).map(crate::domain::fiscal::Modifier::signed);
        let untaxed: Tiyn = untaxed.chain(added).sum();
        if !taxes.is_empty() && untaxed != Tiyn::ZERO {
            self.pair("ҚҚС-сыз/Без НДС:", &money(untaxed), false);
        }
        self.rule();
    }

    fn facts(&mut self, registered: &Registered) {
        let register = &registered.register;
        self.text("", &labelled("ФБ/ФП:", &registered.sign));
        self.text("", &labelled("Уақыты/Время:", &registered.at));
        self.text("", &register.address_kz);
        self.text("", &register.address);
        self.text("", &labelled("ФДО:", &register.operator_kz));
        self.text("", &labelled("ОФД:", &register.operator));
        let site = register.site.split("://").last().unwrap_or_default();
        self.text("", &labelled("Чекті тексеру үшін сайтқа кіріңіз/Для проверки чека зайдите на сайт:", site));
        if registered.is_autonomous {
            self.centre(&format!("{}/{}", super::AUTONOMOUS.0, super::AUTONOMOUS.1), true);
        }
        self.rule();
    }

    fn end(&mut self, bill: &Bill, registered: &Registered) {
        if !registered.sign.is_empty() {
            self.centre("ФИСКАЛДЫ ЧЕК/ФИСКАЛЬНЫЙ ЧЕК", true);
        }
        if let Some(code) = code(bill, registered) {
            self.lines.push(PrintLine { kind: PrintKind::Qr, value: code, is_bold: false });
        }
        let register = &registered.register;
        self.centre(&labelled("КСН/ИНК:", &register.identity), false);
        self.centre(&labelled("МКК БКМ коды (КТН)/Код ККМ КГД (РНМ):", &register.registration), false);
        self.centre(&labelled(&format!("{}/{}:", SERIAL.0, SERIAL.1), &register.serial), false);
    }

    fn push(&mut self, value: String, is_bold: bool) {
        self.lines.push(PrintLine { kind: PrintKind::Text, value, is_bold });
    }

    fn rule(&mut self) {
        self.push("-".repeat(self.columns), false);
    }

    fn centre(&mut self, text: &str, is_bold: bool) {
        for row in wrap(text, self.columns).iter().filter(|row| !row.is_empty()) {
            let margin = (self.columns - width(row)) / 2;
            self.push(format!("{:margin$}{row}", ""), is_bold);
        }
    }

    fn text(&mut self, mark: &str, text: &str) {
        let indent = width(mark);
        for (place, row) in wrap(text, self.columns - indent).iter().enumerate().filter(|(_, row)| !row.is_empty()) {
            self.push(if place == 0 { format!("{mark}{row}") } else { format!("{:indent$}{row}", "") }, false);
        }
    }

    /// A label and its figure at the two edges; where no line holds both, registers put the figure at the left below (§4.2).
    fn pair(&mut self, label: &str, figure: &str, is_bold: bool) {
        let used = width(label) + width(figure);
        if figure.is_empty() || used < self.columns {
            let mut line = label.to_owned();
            let _filled = write!(line, "{figure:>0$}", self.columns.saturating_sub(width(label))).is_ok();
            return self.push(line.trim_end().to_owned(), is_bold);
        }
        for row in wrap(label, self.columns) {
            self.push(row, is_bold);
        }
        self.push(figure.to_owned(), is_bold);
    }
}

/// A value behind its label; nothing where there is no value.
fn labelled(label: &str, value: &str) -> String {
    let value = value.trim();
    if matches!(value, "" | "№") { String::new() } else { format!("{label} {value}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fiscal::Register;

    fn answer() -> (Bill, Registered) {
        let bill = Bill {
            side: Side::Sale,
            order_number: String::new(),
            positions: Vec::new(),
            modifiers: Vec::new(),
            payments: Vec::new(),
            change: Tiyn::ZERO,
            total: Tiyn(627_005),
        };
        let site = "ofd.example".to_owned();
        let registered = Registered {
            sign: "417".to_owned(),
            number: 0,
            shift: 0,
            at: "21.11.2026 13:05:18".to_owned(),
            total: None,
            is_autonomous: false,
            is_register_autonomous: false,
            qr: String::new(),
            register: Register { registration: "600".to_owned(), site, ..Register::default() },
            lines: Vec::new(),
        };
        (bill, registered)
    }

    #[test]
    fn a_code_is_rebuilt_only_from_all_its_parts() {
        let (bill, whole) = answer();
        assert_eq!(code(&bill, &whole).as_deref(), Some("http://ofd.example?i=417&f=600&s=6270.05&t=20261121T130518"));
        let told = Registered { qr: "as it is".to_owned(), ..whole.clone() };
        assert_eq!(code(&bill, &told).as_deref(), Some("as it is"));
        for at in ["", "2026-11-21 13:05:18", "21.11.2026 13:05", "21.11.26 13:05:18", "21.11.2026 13:05:18 +05:00"] {
            assert_eq!(code(&bill, &Registered { at: at.to_owned(), ..whole.clone() }), None, "{at}");
        }
        assert_eq!(code(&bill, &Registered { sign: String::new(), ..whole.clone() }), None);
        assert_eq!(code(&bill, &Registered { register: Register::default(), ..whole }), None);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let (bill, whole) = answer();
        let bare = Registered { sign: String::new(), register: Register::default(), ..whole };
        let text: String = lines(&bill, &bare, 48).into_iter().map(|line| line.value + "\n").collect();
        for word in ["ФИСКАЛЬНЫЙ", "ФП", "БИН", "ИНК", "РНМ", "ЗНМ", "ОФД", "Кассир", "Смена", "заказа"]
        {
            assert!(!text.contains(word), "{word}: {text}");
        }
        assert!(text.contains("ИТОГО:") && text.contains("6\u{A0}270,05"), "{text}");
    }
}
