//! The notice that a guest gets while there is no fiscal sign: what was paid, that this is no receipt, why, and how to get one later. It
//! never holds the words of a fiscal receipt, in any case and across no break of a line: only a document with a sign may (fiscal-kz §0).

use super::super::Style;
use super::super::guest::{PAYMENT, REFUND, UNFISCAL};
use super::super::sheet::{Sheet, Words};
use super::RETURN;
use crate::domain::fiscal::Side;
use crate::domain::paper::FiscalNotice;

/// The title; `both` would put a dangerous part of a longer one on a line of its own.
const NO_RECEIPT: Words<'static> = ("БҰЛ ЧЕК ЕМЕС", "ЭТО НЕ ЧЕК");

struct Story {
    total: Words<'static>,
    later: Words<'static>,
    why: [&'static str; 2],
    number: Words<'static>,
    reference: Words<'static>,
}

const SALE: Story = Story {
    total: ("Төленді", "Оплачено"),
    later: ("ЧЕК КЕЙІНІРЕК БЕРІЛЕДІ", "ЧЕК БУДЕТ ПОЗЖЕ"),
    why: [
        "Фискалдық қызметпен байланыс жоқ. Байланыс қалпына келгенде чек рәсімделеді.",
        "Нет связи с фискальной службой. Чек оформится, когда связь появится.",
    ],
    number: ("Чекті алу нөмірі", "Номер для получения чека"),
    reference: PAYMENT,
};

const GIVEN_BACK: Story = Story {
    total: ("Қайтарылды", "Возвращено"),
    later: ("ҚАЙТАРУ ЧЕГІ КЕЙІНІРЕК БЕРІЛЕДІ", "ЧЕК ВОЗВРАТА БУДЕТ ПОЗЖЕ"),
    why: [
        "Ақша қайтарылды. Фискалдық қызметпен байланыс жоқ: қайтару чегі байланыс қалпына келгенде рәсімделеді.",
        "Деньги возвращены. Нет связи с фискальной службой: чек возврата оформится, когда связь появится.",
    ],
    number: ("Қайтару чегін алу нөмірі", "Номер для чека возврата"),
    reference: REFUND,
};

impl Sheet<'_> {
    pub fn notice(&mut self, notice: &FiscalNotice) {
        let story = match notice.side {
            Side::Sale => &SALE,
            Side::Return => &GIVEN_BACK,
        };
        self.test_head(notice.is_test);
        self.centre(&notice.shop, Style::BIG);
        self.gap();
        self.both_bars(NO_RECEIPT, Style::BIG.inverted());
        self.gap();
        self.both(UNFISCAL, Style::BOLD);
        if notice.side == Side::Return {
            self.both(RETURN, Style::BIG);
        }
        self.rule('-');
        self.order(&notice.order_number, &notice.table);
        self.two(&notice.at, "", Style::PLAIN);
        self.rule('-');
        for line in &notice.lines {
            self.dish(line);
        }
        if !notice.lines.is_empty() {
            self.rule('=');
        }
        self.total(story.total, notice.total);
        self.rule('-');
        for payment in &notice.payments {
            self.payment(payment);
        }
        if !notice.payments.is_empty() {
            self.rule('-');
        }
        self.both(story.later, Style::TALL);
        for sentence in story.why {
            self.indented("", sentence, Style::PLAIN);
        }
        self.rule('-');
        self.both(story.number, Style::PLAIN);
        self.centre(&notice.number.to_string(), Style::BIG);
        self.both(("Кассада осы нөмірді айтыңыз", "На кассе назовите этот номер"), Style::PLAIN);
        self.centre(&notice.contact, Style::BOLD);
        self.gap();
        self.fact(story.reference, &notice.reference);
        self.test_bar(notice.is_test);
    }
}
