//! What each fuzz target does with its bytes, and the properties that must hold whatever they are. The same bodies are driven by libFuzzer
//! (`tests/fuzz/targets`) and by the replay of the kept corpus in `cargo test` (`tests/fuzz.rs`).

use kassad::config::Config;
use kassad::domain::ids::{Handle, Reference};
use kassad::domain::money::{AMOUNT_TIYN_MAX, Tiyn};
use kassad::domain::order::{Milli, Phone};
use kassad::domain::outcome::{DETAIL_CHARS_MAX, Outcome, Reason};
use kassad::domain::paper::ReportKind;
use kassad::domain::time::Wall;
use kassad::drivers::fiscal::webkassa as wk;
use kassad::drivers::invoice::aipay::{self, AiPayWebhooks};
use kassad::drivers::pos::poster;
use kassad::drivers::printer::status::{BLOCK_BYTES_MAX, Question, Reader, Said};
use kassad::drivers::terminal::kaspi_smart_pos::{self as kaspi, Api, Reply};
use kassad::drivers::terminal::zvt::dialogue::{Care, Dialogue, Event, Pace, TRIES_MAX};
use kassad::drivers::terminal::zvt::frame::{self, APDU_BYTES_MAX, Arrival, Deframer, Framing};
use kassad::drivers::terminal::zvt::packet::{self, Apdu, StatusInfo};
use kassad::drivers::terminal::zvt::starts::{Mark, Starts};
use kassad::drivers::{Act, Asked, Collect, FOREIGN_ID_CHARS_MAX, Forged, Headers, Standing, WebhookScheme, signature};
use kassad::host::clock::Monotonic;
use kassad::host::secret::Secret;
use kassad::http::shape;
use kassad::transport::address::Address;
use kassad::transport::web::Answer;
use std::path::Path;
use std::time::Duration;

/// A target: a name of a folder of the corpus, and what is done with each of its files.
pub type Target = (&'static str, fn(&[u8]));

/// Every target there is; `tests/fuzz/targets` has one file for each.
pub const TARGETS: &[Target] = &[
    ("address", address),
    ("aipay", aipay),
    ("config", config),
    ("invoice", invoice),
    ("poster", poster),
    ("printer_status", printer_status),
    ("smart_pos", smart_pos),
    ("webhook", webhook),
    ("webkassa", webkassa),
    ("zvt", zvt),
];

/// The webhooks of every cloud, with the headers that may carry their signatures.
pub const SCHEMES: &[(&str, &dyn WebhookScheme, &[&str])] =
    &[("aipay", &AiPayWebhooks, &["x-aipay-signature", "x-signature"])];

/// Digits in a row that may be somebody's phone or card.
const DIGITS_HIDDEN_FROM: usize = 10;

const NOW: Wall = Wall(1_780_000_000_000);
const OFFSET_S: i32 = 5 * 3600;

/// The first byte chooses the header, the rest is the body as it came.
pub fn webhook(data: &[u8]) {
    let Some((which, body)) = data.split_first() else { return };
    let (right, wrong) = (Secret::new("right"), Secret::new("wrong"));
    let signed = signature::sign(&right, body);
    for (_, scheme, headers) in SCHEMES {
        let header = headers[usize::from(*which) % headers.len()];
        let under = |value: &str| Headers(vec![(header.to_owned(), value.to_owned())]);
        let is_forged = |secrets: &[Secret], headers: &Headers, body: &[u8]| {
            assert_eq!(scheme.verify(secrets, headers, body), Err(Forged));
        };
        // Without the right word nothing of the body is ever read: there is no other way to a `Verified`.
        is_forged(std::slice::from_ref(&right), &Headers::default(), body);
        is_forged(std::slice::from_ref(&wrong), &under(&signed), body);
        is_forged(&[], &under(&signed), body);
        is_forged(std::slice::from_ref(&right), &under(&String::from_utf8_lossy(&body[..body.len().min(64)])), body);
        let twice = Headers([under(&signed).0, under(&signed).0].concat());
        is_forged(std::slice::from_ref(&right), &twice, body);
        is_forged(std::slice::from_ref(&right), &under(&signed), &[body, &[*which]].concat());
        let mut turned = body.to_vec();
        if let Some(byte) = turned.get_mut(usize::from(*which) % body.len().max(1)) {
            *byte ^= 1 << (which & 7);
            is_forged(std::slice::from_ref(&right), &under(&signed), &turned);
        }
        let verified = scheme.verify(&[wrong.clone(), right.clone()], &under(&signed), body).expect("rightly signed");
        assert_eq!(verified.body(), body, "the body is what was signed, to the byte");
        let read = scheme.read(&verified);
        assert_eq!(read, scheme.read(&verified), "a notice is read the same every time");
        let Ok(notice) = read else { continue };
        assert!(is_name(notice.handle.as_str()), "{notice:?}");
        assert!(notice.reference.as_ref().is_none_or(|reference| is_name(reference.as_str())), "{notice:?}");
        assert!(!notice.status.is_empty() && notice.status.chars().count() <= 64, "{notice:?}");
        assert!(notice.event_key.contains(notice.handle.as_str()) && notice.event_key.len() <= 512, "{notice:?}");
        assert!(notice.amount.is_none_or(|sum| sum.0 >= 0 && sum.in_limits()), "{notice:?}");
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= FOREIGN_ID_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Two bytes are the status, the rest is the body.
fn answer(data: &[u8]) -> Option<Answer> {
    let [high, low, body @ ..] = data else { return None };
    let status = 100 + u16::from_be_bytes([*high, *low]) % 500;
    Some(Answer { status, headers: Vec::new(), body: body.to_vec() })
}

/// A reason is short, and no phone or card of anybody is in it.
fn is_fit(reason: &Reason) {
    assert!(!reason.code.is_empty() && reason.detail.chars().count() <= DETAIL_CHARS_MAX, "{reason:?}");
    let mut run = 0;
    for sign in reason.detail.chars() {
        run = if sign.is_ascii_digit() { run + 1 } else { 0 };
        assert!(run < DIGITS_HIDDEN_FROM, "{reason:?}");
    }
}

/// Whether the answer decides something: it happened, or it was refused.
fn is_decided<T>(outcome: &Outcome<T>) -> bool {
    match outcome {
        Outcome::Done(_) | Outcome::Refused(_) => true,
        Outcome::NotSent(reason) | Outcome::Unknown(reason) => {
            is_fit(reason);
            false
        }
    }
}

fn is_paid_right(standing: &Standing) {
    match standing {
        Standing::Paid(evidence) => {
            assert!((0..=AMOUNT_TIYN_MAX).contains(&evidence.amount.0), "{evidence:?}");
            let digits = evidence.detail.split(|sign: char| !sign.is_ascii_digit()).map(str::len).max();
            assert!(
                evidence.source == "cloud" || !evidence.detail.contains("card") || digits <= Some(64),
                "{evidence:?}"
            );
        }
        Standing::Failed(reason)
        | Standing::Cancelled(reason)
        | Standing::Expired(reason)
        | Standing::Unclear(reason) => is_fit(reason),
        Standing::Pending(word) => assert!(word.chars().count() <= 64, "{word:?}"),
    }
}

/// AiPay's answers to a create and to a read.
pub fn aipay(data: &[u8]) {
    let Some(answer) = answer(data) else { return };
    let ask = Collect {
        amount: Tiyn(1_240_000),
        reference: Reference("dastarkhan-1950-1-1".to_owned()),
        description: "Заказ 1950".to_owned(),
        phone: None,
    };
    let handle = Handle("inv_8f3a".to_owned());
    let created = aipay::read_create(&answer, &ask);
    assert_eq!(created, aipay::read_create(&answer, &ask));
    let is_said = answer.json().is_some_and(|json| json.is_object());
    // H1: a gateway's page is no word about money, whatever it says.
    if answer.status >= 500 || answer.status < 200 {
        assert!(!is_decided(&created), "{created:?}");
    }
    if (200..300).contains(&answer.status) {
        assert!(!matches!(created, Outcome::Refused(_) | Outcome::NotSent(_)), "{created:?}");
        assert!(is_said || !is_decided(&created), "{created:?}");
    }
    match created {
        Outcome::Done(record) => is_paid_right(&record.standing),
        Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) => is_fit(&reason),
    }
    match aipay::read_inquiry(&answer, &handle) {
        Outcome::Done(record) => {
            assert_eq!(record.handle, handle);
            assert!([200..=299, 404..=404, 410..=410].iter().any(|range| range.contains(&answer.status)));
            is_paid_right(&record.standing);
        }
        Outcome::Unknown(reason) => is_fit(&reason),
        told @ (Outcome::Refused(_) | Outcome::NotSent(_)) => panic!("a read decides nothing: {told:?}"),
    }
}

/// The answers of a Kaspi terminal: one byte chooses the API and the act, two the status.
pub fn smart_pos(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    let Some(answer) = answer(rest) else { return };
    let act = if which & 1 == 0 { Act::Payment } else { Act::Refund };
    let api = if which & 2 == 0 { Api::V2 } else { Api::V1 };
    let asked = Asked { act, handle: Handle("17800000001".to_owned()), amount: Tiyn(1_240_000) };
    let is_said = answer.json().is_some_and(|json| json.is_object());
    // The status may stand in either place (kaspi-terminal §1.1).
    let told = answer.json().and_then(|json| kassad::drivers::scalar(json.get("statusCode")?)).unwrap_or_default();
    let is_denied = [401, 403].contains(&answer.status) || ["401", "403"].contains(&told.as_str());
    let started = kaspi::read_start(&answer, act);
    assert_eq!(started, kaspi::read_start(&answer, act));
    match started {
        Reply::Said(outcome) => {
            assert!(is_said || !is_decided(&outcome), "{outcome:?}");
            match outcome {
                Outcome::Done(handle) => assert!(is_name(handle.as_str()), "{handle:?}"),
                Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) => is_fit(&reason),
            }
        }
        Reply::Denied => assert!(is_denied),
        Reply::NothingToSettle => panic!("a start settles nothing"),
    }
    match kaspi::read_standing(&answer, &asked) {
        Reply::Said(Outcome::Done(standing)) => is_paid_right(&standing),
        Reply::Said(Outcome::Unknown(reason)) => is_fit(&reason),
        Reply::Said(told @ (Outcome::Refused(_) | Outcome::NotSent(_))) => panic!("a look refuses nothing: {told:?}"),
        Reply::Denied => assert!(is_denied),
        Reply::NothingToSettle => assert!(is_said),
    }
    if let Outcome::Done(tokens) = kaspi::read_tokens(&answer, NOW, OFFSET_S) {
        assert!(tokens.until > NOW && tokens.from == NOW, "{tokens:?}");
        assert_eq!(kaspi::Tokens::from_text(&tokens.to_text()), Some(tokens), "what the vault keeps is what it gives");
    }
    let _presence = kaspi::read_presence(&answer, api);
    let text = String::from_utf8_lossy(&answer.body);
    if let Some(sum) = kaspi::sum_on_slip(&text) {
        assert!(sum.0 >= 0 && sum.in_limits());
        assert_eq!(kaspi::sum_on_slip(&format!("{sum} ₸")), Some(sum), "what a slip shows is read back");
    }
    for now in [NOW, Wall::default()] {
        let _end = kaspi::end_of_life(Some(&text), now, OFFSET_S);
    }
    let _tokens = kaspi::Tokens::from_text(&text);
}

/// Poster's envelopes.
pub fn poster(data: &[u8]) {
    let Some(answer) = answer(data) else { return };
    let is_said = answer.json().is_some_and(|json| json.is_object());
    let list = poster::read_open_orders(&answer, 1);
    assert_eq!(list, poster::read_open_orders(&answer, 1));
    let lines = poster::read_lines(&answer);
    let closed = poster::read_close(&answer);
    for decided in [is_decided(&list), is_decided(&lines), is_decided(&closed)] {
        assert!(is_said || !decided, "without an envelope nothing is known");
    }
    if let Outcome::Done(orders) = list {
        assert!(orders.len() <= poster::ORDERS_MAX);
        assert!(orders.iter().all(|order| is_name(&order.foreign_id) && order.due.in_limits()), "{orders:?}");
    }
    let lines = match lines {
        Outcome::Done(lines) => {
            assert!(lines.len() <= poster::LINES_MAX && lines.iter().all(|line| line.sum.in_limits()), "{lines:?}");
            lines
        }
        Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_) => Vec::new(),
    };
    if let Outcome::Done(order) = poster::read_order(&answer, "1950", lines) {
        assert_eq!(order.snapshot.foreign_id, "1950");
    }
}

/// Webkassa's answers.
pub fn webkassa(data: &[u8]) {
    let Some(mut answer) = answer(data) else { return };
    let is_said = answer.json().is_some_and(|json| json.is_object());
    for (path, body) in [(wk::CHECK, "{\"Payments\":[{\"Sum\":6270}],\"RoundType\":0}"), (wk::MONEY, "{\"Sum\":25}")] {
        let kept = wk::Question { path: path.to_owned(), body: body.to_owned() };
        let filed = wk::read_filing(&answer, &kept);
        assert_eq!(filed, wk::read_filing(&answer, &kept));
        assert!(is_said || !is_decided(&filed), "{filed:?}");
        if matches!(answer.status, 408 | 429 | 500..) {
            assert!(!is_decided(&filed), "{filed:?}");
        }
        if let Outcome::Done(kassad::drivers::Filing::Registered(registered)) = filed {
            assert!(!registered.sign.is_empty() && registered.sign.chars().count() <= 64, "{registered:?}");
            assert!(registered.lines.len() <= wk::LINES_MAX);
        }
    }
    let _shifts = wk::read_shifts(&answer).map(|shifts| assert!(shifts.len() <= 10_000));
    let _open = wk::read_open_shift(&answer).is_ok();
    let _page = wk::read_page(&answer, "key-1", 0).is_ok();
    let _printed = wk::read_printed(&answer).is_ok();
    let _ticket = wk::read_ticket(&answer, "key-1").is_ok();
    for kind in [ReportKind::X, ReportKind::Z] {
        let _report = wk::read_report(&answer, kind).is_ok();
    }
    let _closed = wk::read_closed_report(&answer, 154).is_ok();
    let _client = wk::read_client(&answer, NOW).is_ok();
    let _listed = wk::read_cashboxes(&answer, "SWK00000007").is_ok();
    if let Ok(token) = wk::read_token(&answer) {
        assert!(!token.is_empty() && token.len() <= 4096);
    }
    let _facts = wk::QrFacts::read(&String::from_utf8_lossy(&answer.body));
    answer.headers.push(("alternativedomainnames".to_owned(), String::from_utf8_lossy(&answer.body).into_owned()));
    assert!(wk::alternatives(&answer).is_none_or(|hosts| hosts.len() <= 8));
    let _login = wk::wants_login(&answer);
}

/// The bytes of a receipt printer.
pub fn printer_status(data: &[u8]) {
    let (mut reader, mut same) = (Reader::new(), Reader::new());
    for byte in data {
        let said = reader.push(*byte);
        assert_eq!(said, same.push(*byte));
        match said {
            Some(Said::RealTime(byte)) => {
                for question in [Question::Printer, Question::Offline, Question::Error, Question::Paper] {
                    assert!(question.read(byte).is_some());
                }
            }
            Some(Said::Sequential(byte)) => assert!(Question::Fence.read(byte).is_some()),
            Some(Said::Block(_, content)) => assert!(content.len() <= BLOCK_BYTES_MAX),
            // A byte without the fixed bits of an answer is never good news.
            Some(Said::Garbage(byte)) => assert_eq!(Question::Paper.read(byte).filter(|_| byte & 0x93 != 0x12), None),
            Some(Said::Unasked(bytes)) => {
                let _finding = kassad::drivers::printer::status::unasked(bytes);
            }
            Some(Said::Flow(_)) | None => {}
        }
    }
    // Whatever came before, a block ends with its zero and a status after four bytes: then an answer is heard again.
    for _ in 0..4 {
        let _rest = reader.push(0);
    }
    assert_eq!(reader.push(0x12), Some(Said::RealTime(0x12)));
}

/// A line to a ZVT terminal: one byte chooses serial or TCP, the rest is what the line brings in the middle of a payment.
pub fn zvt(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    let framing = if which & 1 == 0 { Framing::Serial } else { Framing::Tcp };
    let mut deframer = Deframer::new(framing);
    for byte in bytes {
        if let Some(Arrival::Apdu(apdu)) = deframer.take(*byte) {
            assert!(apdu.len() <= APDU_BYTES_MAX);
            one_apdu(&apdu);
        }
    }
    one_apdu(bytes);
    a_payment(framing, bytes);
    let _starts = Starts::from_text(&String::from_utf8_lossy(bytes));
}

fn one_apdu(bytes: &[u8]) {
    if let Some(apdu) = Apdu::from_bytes(bytes) {
        assert_eq!(Apdu::from_bytes(&apdu.to_bytes()), Some(apdu.clone()), "what is written is read back");
        for framing in [Framing::Serial, Framing::Tcp] {
            let mut deframer = Deframer::new(framing);
            let wire = frame::encode(framing, &apdu.to_bytes());
            let arrived: Vec<Arrival> = wire.iter().filter_map(|byte| deframer.take(*byte)).collect();
            assert_eq!(arrived, [Arrival::Apdu(apdu.to_bytes())]);
        }
    }
    let data = bytes.get(3..).unwrap_or(bytes);
    let info = StatusInfo::read(data);
    assert_eq!(info, StatusInfo::read(data));
    assert!(info.amount.is_none_or(|sum| (0..=packet::AMOUNT_MAX).contains(&sum.0)), "{info:?}");
    assert!(info.card_end.as_ref().is_none_or(|end| end.len() == 4), "a card number is never kept: {info:?}");
    if let Some(mark) = Mark::of(&info) {
        assert!(mark.receipt.is_none_or(|receipt| receipt <= 9999));
        let _evidence = mark.evidence();
    }
    if let (Some(number), true) = (packet::number(data), data.len() <= 6) {
        let again = packet::bcd::<6>(number).expect("six bytes hold it");
        assert_eq!(again[6 - data.len()..], *data);
    }
    assert!(packet::block_lines(data).iter().all(|line| line.is_ascii()));
}

/// Money goes out once; again only where the terminal itself said that it did not read the frame, and at most three times.
fn a_payment(framing: Framing, bytes: &[u8]) {
    let payment = packet::payment(Tiyn(1_240_000), [0x03, 0x98]).expect("a sum");
    let wire = frame::encode(framing, &payment.to_bytes());
    let mut dialogue = Dialogue::new(framing);
    let mut now = Monotonic::default();
    assert!(dialogue.command(&payment, Care::Money, Pace::Long, now));
    let mut sent = dialogue.output();
    let mut naks = 0;
    for piece in bytes.chunks(16) {
        naks += piece.iter().filter(|byte| **byte == frame::NAK).count();
        dialogue.received(piece, now);
        sent.extend(dialogue.output());
        now = now.plus(Duration::from_millis(50));
        dialogue.tick(now);
        sent.extend(dialogue.output());
    }
    // The line falls silent: the payment ends, and nothing waits for ever.
    for _ in 0..32 {
        let Some((until, _)) = dialogue.deadline() else { break };
        now = until;
        dialogue.tick(now);
        sent.extend(dialogue.output());
    }
    assert!(!dialogue.is_busy() && dialogue.deadline().is_none());
    let times = sent.windows(wire.len()).filter(|window| *window == wire).count();
    assert!((1..=usize::from(TRIES_MAX).min(1 + naks)).contains(&times), "{times} times after {naks} NAK");
    let mut ends = 0;
    while let Some(event) = dialogue.event() {
        ends += usize::from(matches!(event, Event::Ended(_) | Event::Aborted(_) | Event::Lost(_) | Event::Denied(_)));
    }
    assert!(ends <= 1, "a command ends once");
}

/// The text of a configuration.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let folder = Path::new("/etc/kassad");
    let lines = text.matches('\n').count() + 1;
    match Config::parse(&text, folder) {
        Ok(config) => {
            let again = Config::parse(&text, folder).map(|again| format!("{again:?}"));
            assert_eq!(again.ok(), Some(format!("{config:?}")));
            for device in config.terminals.iter().chain(&config.clouds) {
                assert!(Address::parse(&device.address).is_ok());
            }
            // What nobody knows is refused wherever it stands.
            assert!(Config::parse(&format!("nobody_knows_me = 1\n{text}"), folder).is_err());
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in &faults {
                assert!((1..=lines).contains(&fault.line), "of {lines} lines: {fault:?}");
                assert!(!fault.key.is_empty() && !fault.problem.is_empty() && !fault.cure.is_empty(), "{fault:?}");
            }
            assert!(faults.is_sorted_by_key(|fault| fault.line));
        }
    }
}

/// The body of a bot's invoice, by the readers that the public and the local API share.
pub fn invoice(data: &[u8]) {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    for name in ["amount", "total"] {
        if let Some(sum) = shape::given(&body, name).and_then(|value| shape::read_sum(value, name).ok()) {
            assert!(sum.in_limits());
            assert_eq!(shape::read_sum(&shape::sum(sum), name), Ok(sum), "what is shown is read back");
        }
    }
    if let Some(text) = shape::given(&body, "description").and_then(|value| shape::read_text(value, "it").ok()) {
        assert!(text.chars().count() <= 4096);
    }
    if let Some(phone) = body["phone"].as_str().and_then(Phone::parse) {
        assert_eq!(phone.digits().len(), 11);
        assert!(!phone.masked().contains(&phone.digits()[1..8]) && !format!("{phone:?}").contains(phone.digits()));
    }
    if let Some(Ok(lines)) = shape::given(&body, "lines").map(shape::read_lines) {
        for line in lines {
            assert!(line.quantity.0 > 0 && line.sum.in_limits() && !line.name.trim().is_empty(), "{line:?}");
        }
    }
}

/// Addresses, sums, quantities and phones as people write them.
pub fn address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.lines().take(16) {
        if let Ok(address) = Address::parse(line) {
            let shown = address.to_string();
            assert_eq!(Address::parse(&shown).as_ref(), Ok(&address), "{shown} of {line}");
        }
        if let Ok(sum) = Tiyn::parse_tenge(line) {
            assert!(sum.in_limits());
            assert_eq!(Tiyn::parse_tenge(&sum.decimal()), Ok(sum));
        }
        if let Some(quantity) = Milli::parse(line) {
            assert_eq!(Milli::parse(&quantity.to_string().replace(',', ".")), Some(quantity));
        }
        if let Some(phone) = Phone::parse(line) {
            assert_eq!(Phone::parse(phone.digits()), Some(phone));
        }
    }
}
