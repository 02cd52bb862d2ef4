//! Every sentence for people, in Kazakh, Russian and English: one table from stable codes to texts with `{name}` places.
//! An unknown code is shown as itself, so a new reason of a partner is never hidden and never a panic.

/// A language of the page, the paper and the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// Kazakh.
    Kk,
    /// Russian.
    #[default]
    Ru,
    /// English.
    En,
}

impl Lang {
    /// All of them, in the order of the switch on the page.
    pub const ALL: [Lang; 3] = [Lang::Kk, Lang::Ru, Lang::En];

    /// The word of `--lang` and `?lang=`.
    pub fn word(self) -> &'static str {
        match self {
            Lang::Kk => "kk",
            Lang::Ru => "ru",
            Lang::En => "en",
        }
    }

    /// Reads the word of `--lang` and `?lang=`.
    pub fn from_word(word: &str) -> Option<Lang> {
        Lang::ALL.into_iter().find(|lang| lang.word() == word)
    }

    /// The first language of an `Accept-Language` header that we speak, else Russian.
    pub fn from_header(header: &str) -> Lang {
        let tags = header.split(',').filter_map(|item| item.split([';', '-']).next());
        tags.filter_map(|tag| Lang::from_word(tag.trim().to_ascii_lowercase().as_str())).next().unwrap_or_default()
    }
}

/// The sentence of a code, with its places filled; an unknown code is its own sentence.
pub fn sentence(lang: Lang, code: &str, args: &[(&str, &str)]) -> String {
    let Some(row) = TABLE.iter().find(|row| row.0 == code) else { return code.to_owned() };
    let mut rest = text(row, lang);
    let mut filled = String::with_capacity(rest.len());
    // One walk from left to right: a value that looks like a place is not filled again.
    while let Some((before, place)) = rest.split_once('{') {
        let Some((name, after)) = place.split_once('}') else { break };
        filled.push_str(before);
        match args.iter().find(|(key, _)| *key == name) {
            Some((_, value)) => filled.push_str(value),
            None => filled.push('…'),
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// All codes with their texts, places unfilled: the words of the counter page.
pub fn words(lang: Lang) -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().map(move |row| (row.0, text(row, lang)))
}

/// Whether a code has a sentence.
pub fn is_known(code: &str) -> bool {
    TABLE.iter().any(|row| row.0 == code)
}

fn text(row: &Row, lang: Lang) -> &'static str {
    match lang {
        Lang::Kk => row.1,
        Lang::Ru => row.2,
        Lang::En => row.3,
    }
}

/// Code, Kazakh, Russian, English.
type Row = (&'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // states of an attempt
    ("state.planned", "Кезекте", "В очереди", "Queued"),
    ("state.sent", "Жіберілуде…", "Отправляется…", "Sending…"),
    ("state.waiting", "Төлемді күтуде", "Ждёт оплаты", "Waiting for payment"),
    ("state.paid", "Төленді", "Оплачено", "Paid"),
    ("state.failed", "Төлем өтпеді", "Не прошло", "Failed"),
    ("state.cancelled", "Тоқтатылды", "Отменено", "Cancelled"),
    ("state.expired", "Мерзімі өтті", "Время вышло", "Expired"),
    ("state.unresolved", "Белгісіз", "Не ясно", "Unclear"),
    ("paid_late", "Кеш төленді", "Оплачено поздно", "Paid late"),

    // how a part is paid
    ("tender.kaspi_terminal", "Kaspi терминал", "Kaspi терминал", "Kaspi terminal"),
    ("tender.kaspi_invoice", "Телефонға шот", "Счёт на телефон", "Invoice to phone"),
    ("tender.kaspi_qr", "Kaspi QR", "Kaspi QR", "Kaspi QR"),
    ("tender.cash", "Қолма-қол", "Наличные", "Cash"),

    // the way of a paid part
    ("pos.none", "", "", ""),
    ("pos.waiting", "POS-та жабылуын күтуде", "Ждёт закрытия в POS", "Waiting to close in POS"),
    ("pos.closing", "POS-та жабылуда", "Закрывается в POS", "Closing in POS"),
    ("pos.closed", "POS-та жабылды", "Закрыт в POS", "Closed in POS"),
    ("pos.question", "POS-ты тексеріңіз", "Проверьте POS", "Check the POS"),
    ("fiscal.none", "", "", ""),
    ("fiscal.queued", "Фискалдық чек кезекте", "Фискальный чек в очереди", "Fiscal receipt queued"),
    ("fiscal.registered", "Фискалдық чек тіркелді", "Фискальный чек пробит", "Fiscal receipt registered"),
    ("fiscal.offline", "Фискалдық чек дербес режимде", "Фискальный чек автономно", "Fiscal receipt offline"),
    ("fiscal.uncertain", "Фискалдық чек тексерілуде", "Фискальный чек проверяется", "Fiscal receipt being checked"),
    ("fiscal.refused", "Фискалдық чек қабылданбады", "Фискальный чек отклонён", "Fiscal receipt refused"),
    // the cash register's service
    ("fiscal_bill", "Чектің сомалары сәйкес емес немесе дерегі жетіспейді: орнатушыға хабарлаңыз", "Суммы чека не сходятся, или не хватает данных: сообщите установщику",
        "The sums of the receipt do not agree, or data is missing: tell the installer"),
    ("fiscal_login", "Webkassa кіргізбейді: кассирдің логинін, құпиясөзін және жүйе кілтін тексеріңіз", "Webkassa не принимает вход: проверьте логин и пароль кассира и системный ключ",
        "Webkassa does not accept the login: check the cashier's login and password, and the system key"),
    ("fiscal_key", "Webkassa кіруге рұқсат бермеді: api_key_file кілтін тексеріңіз", "Webkassa закрывает доступ: проверьте ключ api_key_file",
        "Webkassa denies access: check the key in api_key_file"),
    ("fiscal_rights", "Кассирдің құқығы жетпейді: Webkassa кабинетінде беріңіз", "Кассиру не хватает прав: дайте их в кабинете Webkassa",
        "The cashier lacks a right: grant it in Webkassa's cabinet"),
    ("fiscal_cashbox", "Webkassa бұл кассаны білмейді: сынақ пен жұмыс деректері араласпағанын тексеріңіз", "Webkassa не знает эту кассу: проверьте, не смешаны ли тестовые и рабочие данные",
        "Webkassa does not know this cashbox: check that test and production are not mixed"),
    ("fiscal_blocked", "Касса бұғатталған: фискалдық деректер операторына немесе Webkassa-ға хабарласыңыз", "Касса заблокирована: обратитесь к ОФД или в Webkassa",
        "The cashbox is blocked: call the fiscal operator or Webkassa"),
    ("fiscal_inactive", "Касса әлі іске қосылмаған: Webkassa кабинетінде іске қосыңыз", "Касса ещё не активна: активируйте её в кабинете Webkassa",
        "The cashbox is not active yet: activate it in Webkassa's cabinet"),
    ("fiscal_status", "Кассаның күйі белгісіз: Webkassa кабинетін тексеріңіз", "Состояние кассы незнакомо: посмотрите в кабинете Webkassa",
        "The cashbox's status is not known here: look in Webkassa's cabinet"),
    ("fiscal_licence", "Webkassa лицензиясы жоқ немесе аяқталды: ұзартыңыз", "Лицензии Webkassa нет, или она закончилась: продлите",
        "Webkassa's licence is missing or over: renew it"),
    ("fiscal_licence_soon", "Webkassa лицензиясы {detail} күні аяқталады: ұзартыңыз", "Лицензия Webkassa заканчивается {detail}: продлите",
        "Webkassa's licence ends on {detail}: renew it"),
    ("fiscal_window", "Касса 72 сағаттан артық дербес режимде: байланысты қалпына келтіріңіз", "Касса в автономном режиме дольше 72 часов: верните связь",
        "The cashbox has been offline for more than 72 hours: bring the link back"),
    ("fiscal_offline_off", "Бұл касса дербес чек бере алмайды: байланысты қалпына келтіріңіз", "Эта касса не выдаёт автономных чеков: верните связь",
        "This cashbox issues no offline receipts: bring the link back"),
    ("fiscal_no_cash", "Кассада мұнша қолма-қол ақша жоқ", "В кассе нет столько наличных", "There is not that much cash in the drawer"),
    ("fiscal_invalid", "Webkassa құжатты қабылдамады: {detail}", "Webkassa не принимает документ: {detail}", "Webkassa does not take the document: {detail}"),
    ("fiscal_other", "Бұл нөмірмен Webkassa-да басқа чек тұр: {detail}. Кабинеттен қараңыз", "Под этим номером в Webkassa другой чек: {detail}. Посмотрите в кабинете",
        "Webkassa has another receipt under this number: {detail}. Look in its cabinet"),
    ("fiscal_known", "Webkassa бұл чекті біледі: мәліметі ізделуде", "Webkassa уже знает этот чек: ищем его данные", "Webkassa knows this receipt already: looking it up"),
    ("fiscal_absent", "Webkassa-да мұндай құжат жоқ", "В Webkassa такого документа нет", "Webkassa has no such document"),
    ("fiscal_turn", "Касса басқа сұраныспен бос емес: қайталанады", "Касса занята другим запросом: повторим", "The cashbox is busy with another request: it is repeated"),
    ("fiscal_shift_over", "Ауысым 24 сағаттан ұзақ: Z-есеп керек", "Смена длится больше 24 часов: нужен Z-отчёт", "The shift is longer than 24 hours: it needs a Z report"),
    ("fiscal_no_shift", "Ашық ауысым жоқ", "Открытой смены нет", "There is no open shift"),
    ("fiscal_host", "Webkassa сервері жұмыс істемейді: қайталанады", "Сервер Webkassa не работает: повторим", "Webkassa's server is down: it is tried again"),
    ("fiscal_unmapped", "Webkassa белгісіз қате берді: чек тексерілуде", "Webkassa ответила незнакомой ошибкой: чек проверяется", "Webkassa gave an error not known here: the receipt is being checked"),
    ("fiscal_unreadable", "Webkassa-дағы чек оқылмады: кабинеттен қараңыз", "Чек в Webkassa не читается: посмотрите в кабинете", "The receipt at Webkassa cannot be read: look in its cabinet"),
    ("print.queued", "Басып шығару кезегінде", "Ждёт печати", "Waiting to print"),
    ("print.sending", "Басып шығарылуда", "Печатается", "Printing"),
    ("print.sent", "Принтерге жіберілді", "Отправлен на принтер", "Sent to the printer"),
    ("print.confirmed", "Басып шығарылды", "Напечатан", "Printed"),
    ("print.suspect", "Қағазды тексеріңіз", "Проверьте бумагу", "Check the paper"),
    ("print.held", "Принтерді күтуде", "Ждёт принтер", "Waiting for the printer"),
    ("document.receipt", "Чек", "Чек", "Receipt"),
    ("document.slip", "Слип", "Слип", "Slip"),
    ("document.ticket", "Асханаға марка", "Марка на кухню", "Kitchen ticket"),
    ("document.test", "Сынақ чегі", "Пробный чек", "Test slip"),

    // questions that only evidence or a named person settles
    ("question.unresolved", "Төлем белгісіз. Қайта өткізбеңіз. Терминалдағы тарихты тексеріңіз",
        "Оплата не ясна. Не проводите повторно. Проверьте историю на терминале",
        "The payment is unclear. Do not charge again. Check the history on the terminal"),
    ("question.lost_create", "Клиентке шот келді ме? Қайта жібермеңіз", "Пришёл ли счёт клиенту? Не отправляйте повторно",
        "Did the guest get the invoice? Do not send it again"),
    ("question.closed_by_hand", "Тапсырысты POS-та қолмен жауып қойған: төлем түрі мен сомасын тексеріңіз",
        "Заказ закрыли в POS вручную: проверьте вид оплаты и сумму", "The order was closed in the POS by hand: check tender and sum"),
    ("question.order_changed", "Төлемнен кейін тапсырыс өзгерді: {was} ₸ болған, енді {now} ₸",
        "Заказ изменился после оплаты: было {was} ₸, стало {now} ₸", "The order changed after the payment: it was {was} ₸, now {now} ₸"),
    ("question.removed", "Төленген тапсырыс POS-тан өшірілген", "Оплаченный заказ удалён из POS", "A paid order was removed from the POS"),
    ("question.part_paid", "{due} ₸ орнына {paid} ₸ төленді: қалғанын алыңыз", "Оплачено {paid} из {due} ₸: возьмите доплату",
        "Paid {paid} of {due} ₸: collect the rest"),
    ("question.overpaid", "Артық төленді: {due} ₸ орнына {paid} ₸. Артығын қайтарыңыз", "Переплата: {paid} вместо {due} ₸. Верните лишнее",
        "Overpaid: {paid} instead of {due} ₸. Give the rest back"),
    ("question.paid_late", "Төлем тоқтатылғаннан кейін келді: {amount} ₸. Тапсырысты жабыңыз немесе клиентке қайтарыңыз",
        "Оплата пришла после отмены: {amount} ₸. Закройте заказ или верните клиенту",
        "The payment came after the cancel: {amount} ₸. Close the order or give it back"),
    ("question.orphan", "Тапсырыссыз төлем келді: {amount} ₸", "Пришла оплата без заказа: {amount} ₸", "A payment without an order came: {amount} ₸"),
    ("question.unreadable", "Төлем жүйесінен оқылмайтын хабарлама келді: есепті Kaspi Pay-мен салыстырыңыз",
        "От платёжной системы пришло нечитаемое сообщение: сверьте оплаты с Kaspi Pay",
        "A message of the payment system cannot be read: compare the payments with Kaspi Pay"),
    ("question.double_paid", "Тапсырыс екі рет төленді: біреуін клиентке қайтарыңыз", "Заказ оплачен дважды: верните клиенту одну оплату",
        "The order was paid twice: give one payment back"),
    ("question.print", "Қағаз шықты ма? {printer} принтерін тексеріңіз", "Вышла ли бумага? Проверьте принтер {printer}",
        "Did the paper come out? Check the printer {printer}"),
    ("question.second_running", "Тапсырыс төленді, бірақ екінші төлем әлі жүріп жатыр ({amount} ₸): оны қабылдамаңыз",
        "Заказ уже оплачен, а вторая оплата ещё идёт ({amount} ₸): не принимайте её",
        "The order is paid, and a second payment is still running ({amount} ₸): do not take it"),
    ("question.claimed_paid", "№{order}: төлем туралы хабар келді, бірақ шот оны растамайды: {amount} ₸. Kaspi Pay-ді тексеріңіз",
        "№{order}: пришло «оплачено», а сам счёт этого не подтверждает: {amount} ₸. Проверьте Kaspi Pay",
        "No. {order}: a notice said paid, and the invoice does not confirm it: {amount} ₸. Check Kaspi Pay"),
    ("transaction_known", "Бұл операция нөмірі басқа төлемге жазылған: {detail}", "Этот номер операции уже записан за другой оплатой: {detail}",
        "This transaction number belongs to another payment: {detail}"),
    ("seen", "Қызметкер қарап шықты: {detail}", "Сотрудник посмотрел: {detail}", "A person has seen to it: {detail}"),
    ("whole_part", "Бөліктің сомасы бүтін теңге болуы керек: {detail}", "Часть суммы должна быть в целых тенге: {detail}",
        "A part of the sum must be whole tenge: {detail}"),
    ("cloud_refused", "Төлем бұлты шотты қабылдамады: телефон нөмірін тексеріңіз", "Облако не приняло счёт: проверьте номер телефона",
        "The cloud did not take the invoice: check the phone number"),
    ("invoice_expired", "Клиент шотты уақытында төлемеді", "Клиент не оплатил счёт вовремя", "The guest did not pay the invoice in time"),
    ("invoice_failed", "Шот төленбеді: жаңасын жіберіңіз", "Счёт не оплачен: отправьте новый", "The invoice failed: send a new one"),
    ("no_such_invoice", "Бұлт бұл шотты білмейді: Kaspi Pay-ді тексеріңіз", "Облако не знает этого счёта: проверьте Kaspi Pay",
        "The cloud does not know this invoice: check Kaspi Pay"),
    ("pos_unsure", "POS сақтай алмады ма, белгісіз: тексерілуде", "POS не уверен, что сохранил: проверяем", "The POS is not sure that it saved: checking"),
    ("overdue", "Шоттың мерзімі өтті, бірақ серіктес әлі жабпады: тексерілуде", "Срок счёта прошёл, а партнёр его не закрыл: проверяем",
        "The invoice is past its time and the partner has not ended it: checking"),
    ("question.pos_close", "Төлем алынды, бірақ тапсырыс POS-та жабылмады: қолмен жабыңыз", "Оплата принята, но заказ не закрылся в POS: закройте вручную",
        "Paid, but the order did not close in the POS: close it by hand"),

    // why something was refused or waits
    ("busy", "Терминал бос емес: {order} тапсырысы төленуде", "Терминал занят: оплачивается заказ {order}", "The terminal is busy with order {order}"),
    ("link_lost", "Терминалмен байланыс жоқ. Төлем тексерілуде", "Нет связи с терминалом. Оплата проверяется", "No link to the terminal. The payment is being checked"),
    ("no_abort", "Төлемді осы жерден тоқтатуға болмайды: терминалдың өзінде тоқтатыңыз", "Отсюда остановить нельзя: отмените на самом терминале",
        "It cannot be stopped from here: cancel on the terminal itself"),
    ("bad_key", "Серіктес кілтті қабылдамады: орнатушы баптаудағы кілтті тексерсін", "Партнёр не принял ключ: пусть установщик проверит ключ в настройках",
        "The partner refused the key: let the installer check it in the configuration"),
    ("trial_over", "Серіктестің сынақ мерзімі бітті: жазылымды төлеңіз", "Пробный период у партнёра закончился: оплатите подписку",
        "The partner's trial is over: pay for the subscription"),
    ("name_taken", "Терминалда бұл касса атымен басқа тіркелу бар: терминалдан ескісін өшіріп, қайта рұқсат беріңіз",
        "На терминале уже есть касса с этим именем: удалите её на терминале и разрешите заново",
        "The terminal already knows a till of this name: remove it on the terminal and allow again"),
    ("terminal_refused", "Терминал төлемнен бас тартты", "Терминал отклонил оплату", "The terminal refused the payment"),
    ("tiyn", "Тапсырыс сомасында тиын бар: POS-та тұтас теңгеге дөңгелектеуді қосыңыз", "В сумме заказа есть тиыны: включите в POS округление до тенге",
        "The order's sum has tiyn: switch on rounding to whole tenge in the POS"),
    ("live", "Бұл тапсырыстың төлемі басталып кетті", "Этот заказ уже оплачивается", "This order is already being paid"),
    ("already_paid", "Бұл тапсырыс төленген", "Этот заказ уже оплачен", "This order is already paid"),
    ("pos_key", "POS кілтті қабылдамады: орнатушы кілтті жаңартсын", "POS не принял ключ: пусть установщик обновит ключ", "The POS refused the key: let the installer renew it"),
    ("pos_sum", "POS-тағы сома төленген сомаға тең емес", "Сумма в POS не равна оплаченной", "The sum in the POS is not the sum paid"),
    ("pos_away", "POS жауап бермейді: төлем сақталды, тапсырыс кейін жабылады", "POS не отвечает: оплата сохранена, заказ закроется позже",
        "The POS does not answer: the payment is kept, the order closes later"),
    ("pos_unread", "POS жауап бермейді: тапсырысты ашу мүмкін емес, бір минуттан кейін қайталаңыз", "POS не отвечает: заказ не прочитать, повторите через минуту",
        "The POS does not answer: the order cannot be read, try again in a minute"),
    ("guest_declined", "Клиент төлемнен бас тартты", "Клиент отказался от оплаты", "The guest declined"),
    ("expired", "Клиент уақытында төлемеді", "Клиент не оплатил вовремя", "The guest did not pay in time"),
    ("cancelled", "Төлем тоқтатылды", "Оплата отменена", "The payment was cancelled"),
    ("paper_out", "Қағаз бітті: орамды ауыстырыңыз", "Кончилась бумага: замените рулон", "Out of paper: change the roll"),
    ("cover_open", "Принтердің қақпағы ашық: жабыңыз", "Крышка принтера открыта: закройте", "The printer's cover is open: close it"),
    ("printer_off", "Принтер жауап бермейді: қуатын және кабелін тексеріңіз", "Принтер не отвечает: проверьте питание и кабель",
        "The printer does not answer: check power and cable"),
    ("printer_error", "Принтер қате көрсетіп тұр: пышағын және қағазын тексеріңіз", "Принтер сообщает об ошибке: проверьте нож и бумагу",
        "The printer reports an error: check cutter and paper"),
    ("tap", "Терминалда «Рұқсат беру» түймесін басыңыз", "Нажмите „Разрешить“ на терминале", "Press “Allow” on the terminal"),
    ("register_again", "Терминал бізді танымайды: экранында «Разрешить» басыңыз, сұрамаса — «Защита интеграции» ішінде кассаны «Запретить» етіңіз",
        "Терминал нас не узнаёт: нажмите «Разрешить» на его экране, а если не спрашивает — «Защита интеграции» → «Запретить» для нашей кассы",
        "The terminal does not know us: tap “Allow” on its screen; if it does not ask, forbid our till in its integration protection"),
    ("restart", "Қуат үзілді. Төлем тексерілуде", "Питание пропадало. Оплата проверяется", "Power was lost. The payment is being checked"),
    ("net_down", "Интернет жоқ. Шот байланыс қалпына келгенде жіберіледі", "Нет интернета. Счёт уйдёт, когда связь вернётся", "No internet. The invoice goes out when it is back"),
    ("partner_down", "Серіктестің сервері жауап бермейді: басқа төлем түрін ұсыныңыз", "Сервер партнёра не отвечает: предложите другой способ",
        "The partner's server does not answer: offer another way to pay"),
    ("no_client", "Бұл нөмірде Kaspi жоқ: нөмірді тексеріңіз", "На этом номере нет Kaspi: проверьте номер", "This number has no Kaspi: check it"),
    ("bad_phone", "Телефон нөмірі дұрыс емес", "Неверный номер телефона", "The phone number is wrong"),
    ("bad_amount", "Сома дұрыс емес", "Неверная сумма", "The amount is wrong"),
    ("unknown_order", "Мұндай тапсырыс жоқ", "Такого заказа нет", "There is no such order"),
    ("unknown_payment", "Мұндай төлем жоқ", "Такой оплаты нет", "There is no such payment"),
    ("key_reused", "Бұл кілтпен басқа төлем жіберілген", "С этим ключом уже отправлена другая оплата", "This key was used for another payment"),
    ("no_driver", "Бұл төлем түрі бапталмаған", "Этот способ оплаты не настроен", "This way to pay is not set up"),
    ("too_early", "Әлі ерте: серіктестен сұрап жатырмыз", "Ещё рано: спрашиваем у партнёра", "Too early: the partner is being asked"),
    ("ledger_full", "Құрылғының жады толды. Жаңа төлемдер тоқтатылды, басталғандары аяқталады",
        "Память устройства заполнена. Новые оплаты остановлены, начатые завершатся",
        "The storage is full. No new payments; started ones will finish"),
    ("clock", "Сағат синхрондалмаған", "Часы не синхронизированы", "The clock is not synchronised"),

    // printers: the test slip and the letters
    ("no_printer", "Мұндай принтер жоқ: {detail}", "Такого принтера нет: {detail}", "There is no such printer: {detail}"),
    ("printer_busy", "Принтер бос емес: бір минуттан кейін қайталаңыз", "Принтер занят: повторите через минуту",
        "The printer is busy: try again in a minute"),
    ("way.page", "принтердің өз әріптері: {letters}, {page}-бет", "буквы самого принтера: {letters}, страница {page}",
        "the printer's own letters: {letters}, page {page}"),
    ("way.defined", "{letters}, {page}-бет, жетпейтін әріптерді kassad қосады", "{letters}, страница {page}, недостающие буквы добавляет kassad",
        "{letters}, page {page}, letters that it lacks are added by kassad"),
    ("way.raster", "әр жол сурет болып басылады", "каждая строка печатается картинкой", "every line is printed as a picture"),
    ("page.print_test", "Сынақ баспа", "Пробная печать", "Test print"),
    ("page.which_line", "Қай нөмірлі жол дұрыс оқылады? Соның ең кішісін басыңыз", "Какая строка читается верно? Нажмите её номер, наименьший из верных",
        "Which line reads right? Press its number, the smallest of those"),
    ("page.letters_kept", "Сақталды: {detail}", "Запомнено: {detail}", "Kept: {detail}"),
    ("page.paper", "Қағаз", "Бумага", "Paper"),
    ("page.print_it", "Басып шығару", "Напечатать", "Print it"),
    ("page.not_needed", "Керек емес", "Не нужна", "Not needed"),
    ("page.reprint", "Тағы бір рет", "Ещё раз", "Once more"),
    ("print_test.done", "{detail}: басып шығарылды. Төмендегі жолдардың қайсысы дұрыс оқылады?",
        "{detail}: напечатано. Какая из этих строк читается верно?", "{detail}: printed. Which of these lines reads right?"),
    ("print_test.ask", "Нөмір (Enter — ештеңе өзгермесін): ", "Номер (Enter — ничего не менять): ", "Number (Enter changes nothing): "),
    ("print_test.range", "Сынақ парағында мұндай жол жоқ: {detail}", "На пробной печати нет такой строки: {detail}", "There is no such line on the test slip: {detail}"),
    ("print_test.keep", "{detail}. Баптауға жазыңыз:", "{detail}. Впишите в конфигурацию:", "{detail}. Write into the configuration:"),

    // states of a device
    ("device.up", "Дайын", "Готов", "Ready"),
    ("device.warn", "Назар аударыңыз", "Требует внимания", "Needs attention"),
    ("device.down", "Байланыс жоқ", "Нет связи", "No link"),
    ("device.busy", "Бос емес", "Занят", "Busy"),
    ("device.tap", "Рұқсат күтуде", "Ждёт разрешения", "Waiting for permission"),
    ("device.paper_out", "Қағаз жоқ", "Нет бумаги", "No paper"),
    ("device.unknown", "Тексерілуде", "Проверяется", "Being checked"),

    // what the guest reads on the customer display: twenty characters at most
    ("display.welcome", "Қош келдіңіз", "Добро пожаловать", "Welcome"),
    ("display.pay_terminal", "Kaspi-мен", "Оплатите Kaspi", "Pay with Kaspi"),
    ("display.pay_invoice", "Kaspi-де шот", "Счёт в Kaspi", "Bill in Kaspi"),
    ("display.pay_qr", "Kaspi QR", "Kaspi QR", "Kaspi QR"),
    ("display.pay_cash", "Қолма-қол", "Наличными", "In cash"),
    ("display.due", "ТӨЛЕҢІЗ", "К ОПЛАТЕ", "TO PAY"),
    ("display.thanks", "Рақмет!", "Спасибо!", "Thank you!"),
    ("display.paid", "ТӨЛЕНДІ", "ОПЛАЧЕНО", "PAID"),
    ("display.change", "ҚАЙТАРЫМ", "СДАЧА", "CHANGE"),
    ("display.wait", "Күте тұрыңыз", "Подождите", "One moment"),
    ("display.checking", "Төлем тексерілуде", "Проверяем оплату", "Checking payment"),
    ("display_off", "Клиент экраны жауап бермейді: кабелін тексеріңіз", "Дисплей покупателя не подключён: проверьте кабель",
        "The customer display is away: check its cable"),

    // `kassad devices`
    ("devices.none", "Ештеңе қосылмаған", "Ничего не подключено", "Nothing is plugged in"),
    ("devices.printer", "принтер", "принтер", "printer"),
    ("devices.terminal", "терминал", "терминал", "terminal"),
    ("devices.display", "клиент экраны", "дисплей покупателя", "customer display"),
    ("devices.unknown", "желі немесе адаптер: оған не қосылғанын қараңыз", "линия или адаптер: посмотрите, что к нему подключено",
        "a line or an adapter: look what hangs on it"),
    ("devices.group", "{user} мұны аша алмайды: sudo usermod -aG {group} {user}, содан кейін kassad-ты қайта іске қосыңыз",
        "{user} не может это открыть: sudo usermod -aG {group} {user}, затем перезапустите kassad",
        "{user} may not open this: sudo usermod -aG {group} {user}, then restart kassad"),
    ("devices.owner", "{user} мұны аша алмайды: udev/70-kassad.rules ережелерін орнатып, құрылғыны қайта қосыңыз",
        "{user} не может это открыть: установите правила udev/70-kassad.rules и подключите устройство заново",
        "{user} may not open this: install the rules udev/70-kassad.rules, then plug it in again"),

    // a printer whose address changed hands (F22)
    ("printer_moved", "Принтердің желідегі мекенжайы өзгерді: жаңасын баптауға жазыңыз",
        "У принтера новый адрес в сети: впишите его в настройки", "The printer has another address now: write it into the configuration"),
    ("printer_stranger", "Принтердің мекенжайында басқа құрылғы тұр: принтерді ауыстырған болсаңыз, сынақ бетін басып шығарыңыз",
        "По адресу принтера теперь другое устройство: если вы заменили принтер, напечатайте пробную страницу",
        "Another device has the printer's address now: if you replaced the printer, print its test page"),

    // `kassad doctor`
    ("doctor.green", "Бәрі дұрыс", "Всё в порядке", "All is well"),
    ("doctor.yellow", "Жұмыс істейді, бірақ қараңыз", "Работает, но посмотрите", "It works, but have a look"),
    ("doctor.red", "Түзету керек", "Нужно исправить", "Something must be put right"),
    ("doctor.config", "Баптау дұрыс: {detail}", "Настройки верны: {detail}", "The configuration is right: {detail}"),
    ("doctor.config_fault", "{detail}", "{detail}", "{detail}"),
    ("doctor.guarded", "Терминалмен байланыс қорғалған", "Связь с терминалом защищена", "The link to the terminal is protected"),
    ("doctor.near", "Терминал осы құрылғыда (сынақ)", "Терминал на этой машине (песочница)", "The terminal is on this machine (sandbox)"),
    ("doctor.insecure", "Терминалдың сертификаты тексерілмейді", "Сертификат терминала не проверяется", "The terminal's certificate is not checked"),
    ("doctor.insecure.cure", "insecure кілтін алып тастап, tls_name жазыңыз", "уберите insecure и укажите tls_name", "take insecure out and write tls_name"),
    ("doctor.plain", "Терминалмен байланыс қорғалмаған", "Связь с терминалом не защищена", "The link to the terminal is not protected"),
    ("doctor.plain.cure", "Терминалда «Защита интеграции» қосып, https:// және protected = true жазыңыз",
        "включите на терминале «Защиту интеграции», затем https:// и protected = true",
        "switch the integration protection of the terminal on, then write https:// and protected = true"),
    ("doctor.node", "Қосулы: {detail}", "Подключено: {detail}", "Plugged in: {detail}"),
    ("doctor.node_away", "Қосылмаған: {detail}", "Не подключено: {detail}", "Not plugged in: {detail}"),
    ("doctor.node_away.cure", "кабелін тексеріңіз; kassad devices не қосылғанын көрсетеді", "проверьте кабель; kassad devices покажет, что подключено",
        "check the cable; kassad devices shows what is plugged in"),
    ("doctor.node_denied", "Ашуға рұқсат жоқ: {detail}", "Нет прав открыть: {detail}", "Not permitted: {detail}"),
    ("doctor.node_twice", "{detail} құрылғысы екі рет жазылған", "Устройство {detail} указано дважды", "The device {detail} is named twice"),
    ("doctor.node_twice.cure", "әрқайсысына өз ұясын жазыңыз: by-path/…", "укажите каждому своё гнездо: by-path/…", "give each its own socket: by-path/…"),
    ("doctor.ledger", "Журнал орнында, бос орын {detail} МБ", "Книга на месте, свободно {detail} МБ", "The ledger is there, {detail} MB free"),
    ("doctor.ledger_new", "Журнал әлі жоқ: алғашқы іске қосқанда жасалады", "Книги ещё нет: появится при первом запуске", "There is no ledger yet: the first start makes it"),
    ("doctor.ledger_denied", "{detail} қалтасына жазуға болмайды", "В папку {detail} нельзя писать", "The folder {detail} cannot be written to"),
    ("doctor.ledger_denied.cure", "қалтаның иесін түзетіңіз: sudo chown kassad: {detail}", "исправьте владельца папки: sudo chown kassad: {detail}",
        "put the owner right: sudo chown kassad: {detail}"),
    ("doctor.space", "Дискіде бос орын аз: {detail} МБ", "На диске мало места: {detail} МБ", "Little space is left on the disk: {detail} MB"),
    ("doctor.space.cure", "диск толса, жаңа төлемдер тоқтайды: орын босатыңыз", "когда место кончится, новые оплаты остановятся: освободите диск",
        "new payments stop when it is full: make room"),
    ("doctor.daemon", "kassad жұмыс істеп тұр", "kassad работает", "kassad is running"),
    ("doctor.daemon_away", "kassad жауап бермейді: {detail}", "kassad не отвечает: {detail}", "kassad does not answer: {detail}"),
    ("doctor.daemon_away.cure", "systemctl status kassad; journalctl -u kassad -n 50", "systemctl status kassad; journalctl -u kassad -n 50",
        "systemctl status kassad; journalctl -u kassad -n 50"),
    ("doctor.no_questions", "Ашық сұрақ жоқ", "Открытых вопросов нет", "There are no open questions"),
    ("doctor.question.cure", "касса бетінде немесе kassad queue арқылы жауап беріңіз", "ответьте на странице кассы или через kassad queue",
        "answer on the counter page or with kassad queue"),
    ("doctor.clock", "Сағат синхрондалған", "Часы синхронизированы", "The clock is synchronised"),
    ("doctor.clock_unknown", "Сағаттың синхрондалғаны белгісіз", "Неизвестно, синхронизированы ли часы", "It is not known whether the clock is synchronised"),
    ("doctor.clock.cure", "timedatectl set-ntp true", "timedatectl set-ntp true", "timedatectl set-ntp true"),
    ("doctor.clock_behind", "Сағат журналдағы соңғы жазбадан артта", "Часы отстают от последней записи книги", "The clock is behind the newest row of the ledger"),
    ("doctor.ledger_unread", "Журнал оқылмайды: {detail}", "Книгу не прочитать: {detail}", "The ledger cannot be read: {detail}"),

    // jobs
    ("job.print", "Басып шығару", "Печать", "Print"),
    ("job.close", "POS-та жабу", "Закрытие в POS", "POS close"),
    ("job.notify", "Ботқа хабарлау", "Сообщение боту", "Notice to the bot"),
    ("job.queued", "Кезекте", "В очереди", "Queued"),
    ("job.sending", "Орындалуда", "Выполняется", "Running"),
    ("job.held", "Тоқтап тұр", "Ждёт", "Held"),
    ("job.suspect", "Тексеру керек", "Нужно проверить", "To be checked"),
    ("job.failed", "Орындалмады", "Не вышло", "Failed"),

    // the counter page
    ("page.title", "Касса", "Касса", "Till"),
    ("page.orders", "Ашық тапсырыстар", "Открытые заказы", "Open orders"),
    ("page.search", "Нөмір, үстел, даяшы", "Номер, стол, официант", "Number, table, waiter"),
    ("page.no_orders", "Ашық тапсырыс жоқ", "Открытых заказов нет", "No open orders"),
    ("page.nothing_found", "Ештеңе табылмады", "Ничего не найдено", "Nothing found"),
    ("page.orders_away", "POS тапсырыстарды бермей тұр", "POS не отдаёт заказы", "The POS gives no orders"),
    ("page.order", "Тапсырыс {number}", "Заказ {number}", "Order {number}"),
    ("page.table", "{table}-үстел", "Стол {table}", "Table {table}"),
    ("page.choose", "Тапсырысты таңдаңыз", "Выберите заказ", "Choose an order"),
    ("page.choose_hint", "Сол жақтан тапсырысты түртіңіз", "Коснитесь заказа слева", "Tap an order on the left"),
    ("page.due", "Төлеуге", "К оплате", "To pay"),
    ("page.paid_part", "Төленгені {paid} ₸", "Уже оплачено {paid} ₸", "Paid so far {paid} ₸"),
    ("page.terminal", "Kaspi терминал", "Kaspi терминал", "Kaspi terminal"),
    ("page.invoice", "Телефонға шот", "Счёт на телефон", "Invoice to phone"),
    ("page.cash", "Қолма-қол", "Наличные", "Cash"),
    ("page.phone", "Клиенттің телефоны", "Телефон клиента", "The guest's phone"),
    ("page.send_invoice", "Шот жіберу", "Отправить счёт", "Send the invoice"),
    ("page.cash_confirm", "{amount} ₸ қолма-қол алдым", "Принял {amount} ₸ наличными", "I took {amount} ₸ in cash"),
    ("page.back", "Артқа", "Назад", "Back"),
    ("page.cancel", "Төлемді тоқтату", "Отменить оплату", "Cancel the payment"),
    ("page.cancelling", "Тоқтатылуда…", "Отменяем…", "Cancelling…"),
    ("page.again", "Қайта төлеу", "Оплатить снова", "Collect again"),
    ("page.done", "Келесі тапсырыс", "Следующий заказ", "Next order"),
    ("page.on_terminal", "Клиент терминалда төлейді", "Клиент платит на терминале", "The guest pays on the terminal"),
    ("page.on_phone", "Шот {phone} нөміріне жіберілді", "Счёт отправлен на {phone}", "The invoice went to {phone}"),
    ("page.sending", "Жіберілуде…", "Отправляется…", "Sending…"),
    ("page.payments", "Бүгінгі төлемдер", "Оплаты сегодня", "Payments today"),
    ("page.no_payments", "Бүгін төлем болған жоқ", "Сегодня оплат ещё не было", "No payments yet today"),
    ("page.jobs", "Күтіп тұр", "Ждут", "Waiting"),
    ("page.tick", "Қағаз шықты", "Вышел", "It is there"),
    ("page.retry", "Қайталау", "Повторить", "Try again"),
    ("page.tries", "{tries}-талпыныс", "попытка {tries}", "try {tries}"),
    ("page.money_unclear", "Төлем белгісіз", "Оплата не ясна", "Payment unclear"),
    ("page.and_more", "тағы {count}", "ещё {count}", "{count} more"),
    ("page.answer", "Жауап беру", "Ответить", "Answer"),
    ("page.answer_title", "Төлем өтті ме?", "Прошла ли оплата?", "Did the payment go through?"),
    ("page.answer_wait", "Әзірге серіктестен сұрап жатырмыз. Екі минуттан кейін өзіңіз шеше аласыз",
        "Пока спрашиваем у партнёра. Через две минуты сможете решить сами", "The partner is being asked. After two minutes you may decide"),
    ("page.answer_hint", "Жауап атыңызбен жазылады. Алдымен терминалдағы немесе Kaspi Pay-дағы тарихты қараңыз",
        "Ответ запишется с вашим именем. Сначала посмотрите историю на терминале или в Kaspi Pay",
        "The answer is kept with your name. First look at the history on the terminal or in Kaspi Pay"),
    ("page.paid", "Төленген", "Оплата есть", "It was paid"),
    ("page.not_paid", "Төленбеген", "Оплаты нет", "It was not paid"),
    ("page.mark_done", "Шешілді", "Решено", "Settled"),
    ("page.by", "Атыңыз", "Ваше имя", "Your name"),
    ("page.because", "Неге бұлай шештіңіз", "Почему вы так решили", "Why you decide so"),
    ("page.transaction", "Kaspi-дегі операция нөмірі", "Номер операции в Kaspi", "Transaction number at Kaspi"),
    ("page.sure_not_paid", "Иә, төлем жоқ: {amount} ₸ түспеген", "Да, оплаты нет: {amount} ₸ не пришли", "Yes, not paid: {amount} ₸ did not come"),
    ("page.sure_hint", "Егер ақша түскен болса, клиент екі рет төлейді", "Если деньги пришли, клиент заплатит дважды", "If the money did come, the guest pays twice"),
    ("page.fill_in", "Барлық жолды толтырыңыз", "Заполните все поля", "Fill in every field"),
    ("page.close", "Жабу", "Закрыть", "Close"),
    ("page.offline", "Кассамен байланыс жоқ. Қайта қосылудамыз…", "Нет связи с кассой. Подключаемся…", "No link to the till. Connecting…"),
    ("page.error", "Болмады: {detail}", "Не получилось: {detail}", "It did not work: {detail}"),
    ("page.lost_press", "Жауап келмеді. Дәл осы түймені тағы басуға болады: екі рет өтпейді",
        "Ответ не пришёл. Можно нажать ту же кнопку ещё раз: дважды не пройдёт",
        "No answer came. You may press the same button again: it will not go twice"),
    ("page.seconds", "{seconds} с", "{seconds} с", "{seconds} s"),
    ("page.minutes", "{minutes} мин", "{minutes} мин", "{minutes} min"),
    ("page.devices", "Құрылғылар", "Устройства", "Devices"),
    ("page.lines", "Тағамдар", "Блюда", "Dishes"),

    // reasons and refusals of drivers, flows and faces
    ("terminal_failed", "Терминал төлемді өткізбеді", "Терминал не провёл оплату",
        "The terminal did not take the payment"),
    ("terminal_unknown", "Терминал банктен жауап алмады: нәтижесі тексерілуде", "Терминал не получил ответа банка: проверяем",
        "The terminal got no answer from the bank: checking"),
    ("no_such_process", "Терминал бұл төлемді ұмытып қалды: тарихын қараңыз", "Терминал не помнит эту оплату: проверьте его историю",
        "The terminal no longer knows this payment: check its history"),
    ("amount_unread", "Терминал төлем сомасын түсініксіз жазды: тарихын қараңыз", "Терминал не назвал сумму понятно: проверьте его историю",
        "The terminal did not name the sum clearly: check its history"),
    ("not_registered", "Терминал бізге рұқсат бермеген: экранында «Разрешить» басыңыз", "Терминал нам не разрешён: нажмите «Разрешить» на его экране",
        "The terminal has not allowed us: tap “Allow” on its screen"),
    ("no_access", "Терминал рұқсатты қайтарып алды: экранында «Разрешить» басыңыз", "Терминал отозвал разрешение: нажмите «Разрешить» на его экране",
        "The terminal withdrew our permission: tap “Allow” on its screen"),
    ("no_name", "Сервердің аты табылмады: интернетті және баптаудағы мекенжайды тексеріңіз",
        "Имя сервера не находится: проверьте интернет и адрес в настройках",
        "The server's name is not found: check the internet and the address in the configuration"),
    ("tls_clock", "Сертификат тексерілмеді: бұл құрылғының күні қате ({detail}). Күнін түзетіңіз",
        "Не удаётся проверить сертификат: неверная дата на этом устройстве ({detail}). Исправьте дату",
        "The certificate cannot be checked: the date of this machine is wrong ({detail}). Set the date"),
    ("tls_expired", "Сертификаттың мерзімі өткен ({detail}): терминалды жаңартыңыз немесе орнатушыға хабарласыңыз",
        "Срок сертификата истёк ({detail}): обновите терминал или сообщите установщику",
        "The certificate has expired ({detail}): update the terminal or tell the installer"),
    ("tls_name", "Сертификат басқа атқа берілген: орнатушы мекенжай мен tls_name мәнін тексерсін",
        "Сертификат выдан на другое имя: пусть установщик проверит адрес и tls_name",
        "The certificate is for another name: let the installer check the address and tls_name"),
    ("tls_issuer", "Сертификатты біз сенбейтін орталық берген: желіде бөтен құрылғы жоқ па? Өз орталығыңыз болса, ca_file көрсетіңіз",
        "Сертификат выдан незнакомым центром: нет ли в сети чужого устройства? Если центр ваш, укажите ca_file",
        "The certificate comes from an unknown authority: is a foreign device in the network? If the authority is yours, set ca_file"),
    ("tls_certificate", "Сертификат жарамсыз: орнатушыға хабарласыңыз", "Сертификат негоден: сообщите установщику",
        "The certificate is no good: tell the installer"),
    ("tls_speech", "Қорғалған байланыс орнамады: терминалда «Защита интеграции» қосулы ма, порты дұрыс па?",
        "Защищённая связь не устанавливается: включена ли на терминале «Защита интеграции», верен ли порт?",
        "No protected link: is integration protection on at the terminal, is the port right?"),
    ("insecure_tls", "Терминалдың сертификаты тексерілмейді (insecure): орнатушы tls_name немесе ca_file баптасын",
        "Сертификат терминала не проверяется (insecure): пусть установщик настроит tls_name или ca_file",
        "The terminal's certificate is not checked (insecure): let the installer set tls_name or ca_file"),
    ("unprotected", "Терминалдың қорғанысы өшірулі: желідегі кез келген адам оны басқара алады. «Защита интеграции» қосыңыз",
        "Защита терминала выключена: им может управлять любой в сети. Включите «Защита интеграции» и protected",
        "The terminal's protection is off: anybody in the network can use it. Switch integration protection and protected on"),
    ("terminal_off", "Терминал қосылуды қабылдамайды: онда Kaspi Pay қосымшасын ашыңыз, порты мен мекенжайын тексеріңіз",
        "Терминал не принимает соединение: откройте на нём приложение Kaspi Pay, проверьте адрес и порт",
        "The terminal takes no connection: open the Kaspi Pay app on it, check address and port"),
    ("terminal_silent", "Терминал үнсіз: қосулы ма, осы желіде ме, IP мекенжайы өзгермеді ме? (Настройки → Kaspi Гид → О терминале)",
        "Терминал молчит: включён ли он, в той ли сети, не сменился ли его IP? (Настройки → Kaspi Гид → О терминале)",
        "The terminal is silent: is it on, in this network, has its IP changed? (its settings → Kaspi guide → about)"),
    ("not_terminal", "Бұл мекенжайда Kaspi терминалы емес, басқа бірдеңе жауап береді: мекенжай мен портты, http не https екенін тексеріңіз",
        "По этому адресу отвечает не терминал Kaspi: проверьте адрес, порт и http или https",
        "What answers at this address is no Kaspi terminal: check address, port, and http or https"),
    ("token_soon", "Терминалдың рұқсаты жақында бітеді, ал жаңарту болмай тұр: терминал мен желіні тексеріңіз, керек болса қайта тіркеңіз",
        "Разрешение терминала скоро кончится, а продлить не выходит: проверьте терминал и сеть, при нужде зарегистрируйте заново",
        "The terminal's permission ends soon and cannot be renewed: check terminal and network, register again if needed"),
    ("no_settlement", "Терминал күнді өзі қорытындылайды", "Терминал сам подводит итог дня", "The terminal ends its day by itself"),
    ("refund_above", "Төленгеннен артық қайтаруға болмайды: {detail}", "Нельзя вернуть больше, чем оплачено: {detail}",
        "No more can go back than was paid: {detail}"),
    ("refund_method", "Төлем қалай жүргені белгісіз: терминалдың өзінен қайтарыңыз", "Неизвестно, чем платили: верните на самом терминале",
        "It is not known how the guest paid: give the money back on the terminal itself"),
    ("refund_transaction", "Төлемнің операция нөмірі белгісіз: терминалдың өзінен қайтарыңыз",
        "Неизвестен номер операции оплаты: верните на самом терминале",
        "The payment's transaction number is not known: give the money back on the terminal itself"),
    ("refund_refused", "Терминал қайтаруды қабылдамады: тәсілі мен операция нөмірін тексеріңіз. {detail}",
        "Терминал отклонил возврат: проверьте способ и номер операции. {detail}",
        "The terminal refused the refund: check the method and the transaction number. {detail}"),
    ("refund_failed", "Қайтару өтпеді: ақша клиентке қайтқан жоқ", "Возврат не прошёл: деньги клиенту не вернулись",
        "The refund did not go through: no money went back"),
    ("no_link", "Байланыс жоқ: желі мен қуатты тексеріңіз", "Нет связи: проверьте сеть и питание",
        "No link: check network and power"),
    ("garbled", "Серіктес түсініксіз жауап берді: нәтижесі тексерілуде", "Партнёр ответил неразборчиво: проверяем",
        "The partner's answer was garbled: checking"),
    ("unmapped", "Серіктес белгісіз жауап берді: нәтижесі тексерілуде", "Партнёр ответил незнакомым образом: проверяем",
        "The partner's answer is not known to us: checking"),
    ("contradiction", "Серіктестің жауабы өтінішке сай емес: нәтижесі тексерілуде", "Ответ партнёра не сходится с запросом: проверяем",
        "The partner's answer contradicts our request: checking"),
    ("partner_busy", "Серіктес уақытша қабылдамайды: кейін қайта жіберіледі", "Партнёр временно не принимает: отправим позже",
        "The partner is not taking requests now: it will be sent later"),
    ("too_many", "Сұраулар тым көп: кейін қайта жіберіледі", "Слишком много запросов: отправим позже",
        "Too many requests: it will be sent later"),
    ("line_silent", "Терминал жауап бермейді: қуатын және кабелін тексеріңіз", "Терминал не отвечает: проверьте питание и кабель",
        "The terminal does not answer: check power and cable"),
    ("terminal_working", "Терминал басқа әрекетпен бос емес: аяқталғанын күтіңіз", "Терминал занят другим действием: дождитесь конца",
        "The terminal is busy with something else: wait until it ends"),
    ("terminal_attention", "Терминал дайын емес, экранын қараңыз: {detail}", "Терминал не готов, посмотрите на его экран: {detail}",
        "The terminal is not ready, look at its screen: {detail}"),
    ("no_last_result", "Терминал соңғы операцияны айтпайды: байланыс үзілсе, тарихын өзіңіз қарайсыз",
        "Терминал не сообщает последнюю операцию: при обрыве связи историю смотрите сами",
        "The terminal does not tell its last transaction: after a lost link look at its history yourself"),
    ("other_transaction", "Терминалдағы соңғы операция бұл төлем емес болуы мүмкін: тарихын қараңыз",
        "Последняя операция терминала может быть не этой оплатой: проверьте его историю",
        "The terminal's last transaction may not be this payment: check its history"),
    ("not_done", "Төлем болған жоқ: терминал бос, соңғы операциясы бұрынғысы", "Оплаты не было: терминал свободен, последняя операция прежняя",
        "Not paid: the terminal is idle and its last transaction is the old one"),
    ("no_phone", "Шот үшін телефон нөмірі керек", "Для счёта нужен номер телефона",
        "A phone number is needed for an invoice"),
    ("no_search", "Бұл бұлтта шотты іздеу мүмкін емес", "Это облако не умеет искать счёт",
        "This cloud cannot search for an invoice"),
    ("bad_handle", "Серіктестің нөмірі жарамсыз", "Номер у партнёра неверен",
        "The partner's number is not valid"),
    ("no_handle", "Серіктес төлемге нөмір бермеді: нәтижесі тексерілуде", "Партнёр не дал номера оплаты: проверяем",
        "The partner gave the payment no number: checking"),
    ("slow", "Клиент ұзақ төлеп жатыр: терминалды қараңыз", "Клиент долго платит: посмотрите на терминал",
        "The guest takes long: look at the terminal"),
    ("interrupted", "Жазу үзілді: төлем тексерілуде", "Запись прервалась: оплата проверяется",
        "Writing was interrupted: the payment is being checked"),
    ("never_sent", "Байланыс болмады: шот жіберілмеді", "Связи не было: счёт так и не отправлен",
        "There was no link: the invoice was never sent"),
    ("never_heard", "Шот туралы хабар болмады", "О счёте так ничего и не узнали",
        "Nothing was ever heard of the invoice"),
    ("not_created", "Шот жасалмаған", "Счёт не был создан",
        "The invoice was not created"),
    ("answered_not_paid", "Қызметкер: төлем болған жоқ. {detail}", "Сотрудник: оплаты нет. {detail}",
        "A person says: not paid. {detail}"),
    ("no_cancel", "Шот клиентте: оны тек клиент қабылдамай алады. Мерзімі өткенше күтіңіз", "Счёт уже у клиента: отклонить его может только клиент. Дождитесь срока",
        "The guest has the invoice: only the guest can decline it. Wait for its expiry"),
    ("pos_closed", "Тапсырыс POS-та жабылған", "Заказ уже закрыт в POS",
        "The order is closed in the POS already"),
    ("pos_removed", "Тапсырыс POS-тан өшірілген", "Заказ удалён из POS",
        "The order was removed from the POS"),
    ("pos_refused", "POS қабылдамады: {detail}", "POS отказал: {detail}",
        "The POS refused: {detail}"),
    ("pos_status", "POS тапсырыс күйін түсініксіз жазды", "POS назвал состояние заказа непонятно",
        "The POS did not name the order's state clearly"),
    ("pos_still_open", "POS тапсырысты әлі жаппады: қайталанады", "POS ещё не закрыл заказ: повторим",
        "The POS has not closed the order yet: we try again"),
    ("no_pos", "Бапталымда POS жоқ", "В настройках нет POS",
        "There is no POS in the configuration"),
    ("no_way", "Бұл төлем түріне құрылғы бапталмаған: {detail}", "Для этого вида оплаты ничего не настроено: {detail}",
        "Nothing is set up for this tender: {detail}"),
    ("no_sum", "Сома нөлден үлкен болуы керек", "Сумма должна быть больше нуля",
        "The sum must be above zero"),
    ("too_much", "Қалған сомадан көп: {detail}", "Больше, чем осталось: {detail}",
        "More than is left to pay: {detail}"),
    ("answer_incomplete", "Аты-жөні, себебі, ал төленсе — операция нөмірі керек", "Нужны имя, причина, а для «оплачено» — номер операции",
        "Name and reason are needed, and for \"paid\" the transaction number"),
    ("answer_payment", "Бұл сұраққа төлемнің өзінде жауап беріңіз", "Ответьте на этот вопрос у самой оплаты",
        "Answer this question at its payment"),
    ("not_unclear", "Бұл төлем енді анық", "Эта оплата уже ясна",
        "This payment is clear already"),
    ("missing", "Табылмады: {detail}", "Не найдено: {detail}",
        "Not found: {detail}"),
    ("bad_request", "Сұрау түсініксіз: {detail}", "Запрос непонятен: {detail}",
        "The request cannot be understood: {detail}"),
    ("storage", "Құрылғы жадына жазылмайды: жаңа электрондық төлем алынбайды", "Память устройства не пишется: новые электронные оплаты остановлены",
        "The device's storage takes no writes: no new electronic payments"),
    ("stopping", "Касса қайта іске қосылуда: сәл күтіңіз", "Касса перезапускается: подождите немного",
        "The counter is restarting: wait a little"),
    ("broken", "Ішкі қате: орнатушыға хабарласыңыз", "Внутренняя ошибка: сообщите установщику",
        "An internal fault: tell the installer"),
    ("done", "Бұл орындалған", "Это уже сделано",
        "This is done already"),
    ("printer_offline", "Принтер дайын емес", "Принтер не готов",
        "The printer is not ready"),
    ("cutter", "Қағаз кескіш тұрып қалды", "Заклинил отрезчик бумаги",
        "The paper cutter is stuck"),
    ("no_proof", "Принтер басып шыққанын растамады: белгімен қайталанады", "Принтер не подтвердил печать: повторим с пометкой",
        "The printer did not confirm: it is repeated with a mark"),
    ("question.print_old", "{order} тапсырысының қағазы тым ұзақ күтті, {printer} принтері: әлі керек пе?", "Бумага заказа {order} ждала слишком долго, принтер {printer}: она ещё нужна?",
        "The paper of order {order} waited too long for the printer {printer}: is it still wanted?"),
    ("too_old", "Тым ұзақ күтті: әлі керек болса, басып шығарыңыз", "Ждёт слишком долго: напечатайте, если ещё нужно",
        "It waited too long: print it if it is still wanted"),
    ("not_wanted", "Керек емес деп белгіленді", "Отмечено: не нужно", "Marked as not wanted"),
    ("rerouted", "Принтер басып шығармайды, тапсырыс мұнда кетті: {detail}", "Принтер не печатает, заказ ушёл на: {detail}",
        "The printer does not print, its work went to: {detail}"),
    ("one_way", "Бұл принтер жауап бермейді: қағаз шықты ма?", "Этот принтер не отвечает: вышел ли заказ?",
        "This printer never answers: did the paper come out?"),
    ("paper_low", "Қағаз таусылуға жақын", "Бумага заканчивается", "The paper is about to end"),
    ("not_printed", "Бұл әлі басып шығарылмаған", "Это ещё не печаталось", "None of this was printed yet"),
    ("no_candidate", "Сынақ бетінде мұндай нөмір жоқ: {detail}", "На пробной странице нет такого номера: {detail}",
        "The test page has no such number: {detail}"),
    ("question.bot_silent", "{bot} боты төлем туралы хабарды бір тәулік қабылдамады: ботты тексеріңіз", "Бот {bot} сутки не принимает уведомление об оплате: проверьте бота",
        "The bot {bot} has refused a notice for a day: look after the bot"),
    ("bot_silent", "Бот хабарды бір тәулік қабылдамады", "Бот сутки не принимал уведомление", "The bot refused the notice for a day"),
    ("superseded", "Орнына жаңасы келді", "Заменено более новым", "A newer one took its place"),
    ("unproven", "Принтер үш рет растамады: қағазды тексеріп, қажет болса қайталаңыз", "Принтер трижды не подтвердил печать: проверьте бумагу и, если нужно, повторите",
        "The printer did not confirm three times: look for the paper, and print again if needed"),
    ("broken_job", "Құжат оқылмайды: орнатушыға хабарласыңыз", "Документ не читается: сообщите установщику", "The document cannot be read: tell the installer"),
    ("foreign_host", "Бұл мекенжаймен төлем қабылданбайды: касса бетін 127.0.0.1 арқылы ашыңыз", "По этому адресу оплаты не принимаются: откройте страницу кассы через 127.0.0.1",
        "Payments are not taken under this address: open the counter page by 127.0.0.1"),
    ("foreign_origin", "Сұраныс бөтен беттен келді", "Запрос пришёл с чужой страницы", "The request came from a foreign page"),
    ("not_json", "Сұраныс JSON түрінде болуы керек", "Запрос должен быть в JSON", "The request must be JSON"),
    ("bot_refused", "Бот хабарды қабылдамады: қайталанады", "Бот не принял уведомление: повторим",
        "The bot did not take the notice: we try again"),

    ("clock_behind", "Құрылғының сағаты артта: {detail}. Уақытты орнатыңыз", "Часы устройства отстают: {detail}. Установите время", "The clock of this machine is behind: {detail}. Set the time"),
    // refunds, parts, a person's second word
    ("refund.planned", "Қайтару кезекте", "Возврат в очереди", "Refund queued"),
    ("refund.sent", "Қайтару жіберілуде…", "Возврат отправляется…", "Sending the refund…"),
    ("refund.waiting", "Клиент терминалда қайтаруды растайды", "Клиент подтверждает возврат на терминале", "The guest confirms the refund on the terminal"),
    ("refund.done", "Қайтарылды", "Возвращено", "Given back"),
    ("refund.failed", "Қайтару өтпеді", "Возврат не прошёл", "The refund failed"),
    ("refund.cancelled", "Қайтару тоқтатылды", "Возврат отменён", "Refund cancelled"),
    ("refund.unresolved", "Қайтару белгісіз", "Возврат не ясен", "Refund unclear"),
    ("refund_unpaid", "Бұл төлем өтпеген: қайтаратын ештеңе жоқ", "Эта оплата не прошла: возвращать нечего", "This payment was not made: there is nothing to give back"),
    ("refund_running", "Бұл төлем қазір қайтарылып жатыр: соңын күтіңіз", "Эта оплата уже возвращается: дождитесь конца", "This payment is being given back already: wait for its end"),
    ("refund_nothing", "Бұл төлем толық қайтарылған", "Эта оплата уже возвращена полностью", "This payment was given back in full"),
    ("refund_too_much", "Қайтаруға болатыны — {amount} ₸", "Можно вернуть не больше {amount} ₸", "At most {amount} ₸ can be given back"),
    ("refund_by_hand", "Бұл төлемді осы жерден қайтару мүмкін емес: Kaspi Pay-де қайтарып, операция нөмірін жазыңыз", "Отсюда эту оплату не вернуть: верните в Kaspi Pay и впишите номер операции",
        "It cannot be given back from here: refund it in Kaspi Pay and write its transaction number"),
    ("refund_closing", "Тапсырыс POS-та жабылып жатыр: бір минуттан кейін қайтарыңыз", "Заказ закрывается в POS: верните через минуту", "The POS is closing the order: refund in a minute"),
    ("refund_done", "Бұл қайтару орындалған", "Этот возврат уже сделан", "This refund is done already"),
    ("question.settlement", "{terminal} терминалы күнді жаба алмады: терминалдың өзінде салыстырып шығыңыз", "Терминал {terminal} не закрыл день: сделайте сверку на самом терминале",
        "The terminal {terminal} did not settle its day: do it on the terminal itself"),
    ("due_changed", "Тапсырыс өзгерді: енді {detail} ₸. Тексеріп, қайта басыңыз", "Заказ изменился: теперь {detail} ₸. Проверьте и нажмите ещё раз", "The order has changed: it is {detail} ₸ now. Look, and press again"),
    ("busy_other", "Терминал басқа операциямен бос емес", "Терминал занят другой операцией", "The terminal is busy with something else"),
    ("no_refund", "Бұл терминал қайтара алмайды", "Этот терминал не делает возвратов", "This terminal gives no refunds"),
    ("answered_not_returned", "Қызметкер: ақша қайтарылмаған. {detail}", "Сотрудник: деньги не вернулись. {detail}", "A person says: not given back. {detail}"),
    ("answer_refund", "Бұл сұраққа қайтарудың өзінде жауап беріңіз", "Ответьте на этот вопрос у самого возврата", "Answer this question at its refund"),
    ("confirm_not_paid", "Сенімдісіз бе? {amount} ₸ түспегенін растаңыз: қате болса, клиент екі рет төлейді", "Точно? Подтвердите, что {amount} ₸ не пришли: при ошибке клиент заплатит дважды",
        "Sure? Confirm that {amount} ₸ did not come: if it did, the guest pays twice"),
    ("confirm_not_returned", "Сенімдісіз бе? {amount} ₸ қайтарылмағанын растаңыз: қате болса, екі рет қайтарылады", "Точно? Подтвердите, что {amount} ₸ не вернулись: при ошибке вернёте дважды",
        "Sure? Confirm that {amount} ₸ did not go back: if they did, they go back twice"),
    ("bad_part", "Мұндай бөлік жоқ: келесісі — {detail}", "Такой части нет: следующая — {detail}", "There is no such part: the next one is {detail}"),
    ("tendered", "Алынған ақша сомадан кем немесе төлем қолма-қол емес: {detail}", "Получено меньше суммы, или оплата не наличными: {detail}", "Less was handed over than the sum, or it is not cash: {detail}"),
    ("question.answer_contradicted", "№{order}: қызметкер «төленді» деді, ал серіктес төлемді растамайды: {amount} ₸. Kaspi Pay-ді тексеріңіз",
        "№{order}: сотрудник ответил «оплачено», а партнёр этого не подтверждает: {amount} ₸. Сверьте Kaspi Pay",
        "No. {order}: a person said paid, and the partner does not confirm it: {amount} ₸. Compare Kaspi Pay"),
    ("question.answer_corrected", "№{order}: қызметкер «төленбеді» деді, ал ақша түсті: {amount} ₸. Клиент екі рет төлемегенін тексеріңіз",
        "№{order}: сотрудник ответил «не оплачено», а деньги пришли: {amount} ₸. Проверьте, не заплатил ли клиент дважды",
        "No. {order}: a person said not paid, and the money came: {amount} ₸. Check that the guest did not pay twice"),
    ("question.refund_unclear", "Қайтару белгісіз: {amount} ₸. Қайта қайтармаңыз. Терминалдағы тарихты тексеріңіз", "Возврат не ясен: {amount} ₸. Не возвращайте повторно. Проверьте историю на терминале",
        "The refund is unclear: {amount} ₸. Do not give it back again. Check the history on the terminal"),
    ("question.refund_late", "№{order}: «өтпеді» делінген қайтару өтіпті: {amount} ₸. Екі рет қайтарылмағанын тексеріңіз", "№{order}: возврат, который считали неудачным, прошёл: {amount} ₸. Проверьте, не вернули ли дважды",
        "No. {order}: a refund that was taken for failed did go through: {amount} ₸. Check that it was not given back twice"),
    ("question.refund_sum", "№{order}: сұралғаннан басқа сома қайтарылды: {amount} ₸. Терминалды тексеріңіз", "№{order}: вернулась не та сумма, что просили: {amount} ₸. Проверьте терминал",
        "No. {order}: another sum went back than was asked: {amount} ₸. Check the terminal"),
    ("question.pos_return", "№{order}: {amount} ₸ қайтарылды. POS-та да қайтаруды жасаңыз", "№{order}: возвращено {amount} ₸. Сделайте возврат и в POS", "No. {order}: {amount} ₸ was given back. Make the return in the POS too"),
    ("document.refund", "Қайтару слипі", "Слип возврата", "Refund slip"),
    ("page.refund", "Қайтару", "Вернуть", "Give back"),
    ("page.refund_title", "Клиентке қайтару", "Возврат клиенту", "Refund to the guest"),
    ("page.refund_hint", "Қайтаруға болатыны: {amount} ₸", "Можно вернуть: {amount} ₸", "Can be given back: {amount} ₸"),
    ("page.refund_hand", "Kaspi Pay-де өзіңіз қайтарған болсаңыз, операция нөмірін жазыңыз", "Если уже вернули в Kaspi Pay, впишите номер операции", "If you have refunded it in Kaspi Pay, write its transaction number"),
    ("page.refund_go", "{amount} ₸ қайтару", "Вернуть {amount} ₸", "Give back {amount} ₸"),
    ("page.refunded", "Қайтарылды {amount} ₸", "Возвращено {amount} ₸", "Given back {amount} ₸"),
    ("page.refund_answer_title", "Ақша қайтарылды ма?", "Вернулись ли деньги?", "Did the money go back?"),
    ("page.returned", "Қайтарылған", "Вернулись", "They went back"),
    ("page.not_returned", "Қайтарылмаған", "Не вернулись", "They did not"),
    ("page.sure_not_returned", "Иә, {amount} ₸ қайтарылмаған", "Да, {amount} ₸ не вернулись", "Yes, {amount} ₸ did not go back"),
    ("page.sure_refund_hint", "Егер ақша қайтарылған болса, екі рет қайтарасыз", "Если деньги вернулись, вы отдадите их дважды", "If the money did go back, you give it twice"),
    ("page.amount", "Сома, ₸", "Сумма, ₸", "Sum, ₸"),
    ("page.part", "Бөліп төлеу", "Оплатить часть", "Pay a part"),
    ("page.part_hint", "Қалғаны {amount} ₸", "Остаток {amount} ₸", "{amount} ₸ left"),
    ("page.whole", "Толық сома", "Вся сумма", "The whole sum"),
    ("page.tendered", "Клиент берді, ₸", "Получено от клиента, ₸", "Handed over, ₸"),
    ("page.change", "Қайтарым {amount} ₸", "Сдача {amount} ₸", "Change {amount} ₸"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn places(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
    }

    #[test]
    fn every_row_speaks_three_languages_with_the_same_places() {
        for row in TABLE {
            let (code, kk, ru, en) = *row;
            assert_eq!(places(kk), places(ru), "{code}");
            assert_eq!(places(ru), places(en), "{code}");
            let silent = ["pos.none", "fiscal.none"].contains(&code);
            assert!([kk, ru, en].iter().all(|text| text.trim().is_empty() == silent), "{code}");
            assert!(!en.chars().any(|sign| ('а'..='я').contains(&sign)), "{code}: Cyrillic in English");
        }
        assert!(TABLE.len() >= 140, "{}", TABLE.len());
    }

    #[test]
    fn codes_are_unique() {
        let codes: BTreeSet<&str> = TABLE.iter().map(|row| row.0).collect();
        assert_eq!(codes.len(), TABLE.len());
    }

    #[test]
    fn places_are_filled_once_and_unknown_codes_show_themselves() {
        assert_eq!(sentence(Lang::En, "busy", &[("order", "{order}")]), "The terminal is busy with order {order}");
        assert_eq!(sentence(Lang::Ru, "busy", &[]), "Терминал занят: оплачивается заказ …");
        assert_eq!(sentence(Lang::Kk, "no.such.code", &[]), "no.such.code");
    }

    #[test]
    fn the_browser_tells_its_language() {
        assert_eq!(Lang::from_header("kk-KZ,kk;q=0.9,ru;q=0.8"), Lang::Kk);
        assert_eq!(Lang::from_header("de, en-GB;q=0.5"), Lang::En);
        assert_eq!(Lang::from_header(""), Lang::Ru);
    }

    #[test]
    fn every_state_of_an_attempt_has_a_word() {
        for state in crate::domain::attempt::State::ALL {
            assert!(is_known(&format!("state.{}", state.word())));
        }
    }
}
