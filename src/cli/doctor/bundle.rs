//! `kassad doctor --bundle FILE`: one text for whoever helps the shop. What goes in is chosen word by word (keys of the configuration, fields
//! of the journal); no secret file is opened, no message, phone or name is asked for. On top of that every line passes [`redact`], and
//! the values of the configuration that may be secrets are looked for and taken out wherever they stand.
//!
//! [`redact`]: crate::host::redact

use super::{Check, Doctor, Json, local_url};
use crate::config::Config;
use crate::flows::Rules;
use crate::host::clock::Clock;
use crate::host::redact::{HIDDEN, redact, scrub};
use crate::ledger::Reader;
use crate::ledger::census::{Counted, Entry, OrderBrief};
use crate::transport::web::{Limits, Request, Trust, Web};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use toml::{Table, Value};

/// Rows of the journal that go along.
const ENTRIES: u32 = 200;
/// Orders that go along.
const ORDERS: u32 = 50;
/// Lines of the log that go along.
const LOG_LINES: &str = "300";
/// How long the log is waited for.
const LOG_LIMIT: Duration = Duration::from_secs(10);
/// Fields of the log whose words are a partner's or a person's.
const WORDED: [&str; 4] = [" detail=", " device=", " fault=", REASON];
/// The one of them that begins with a code of ours.
const REASON: &str = " reason=";
/// The longest line, in characters.
const LINE_CHARS_MAX: usize = 2000;
/// The longest bundle, in bytes.
const BYTES_MAX: usize = 2 << 20;
/// The longest word of a record that is shown, in characters.
const WORD_CHARS_MAX: usize = 40;
/// The longest number of an order that is shown: a phone is longer.
const ORDER_DIGITS_MAX: usize = 9;

/// What the bundle holds, for the person who sends it.
const INSIDE: &str = "version, machine, configuration without its texts for people, doctor's lines, devices, metrics, counts of the ledger, \
                      the newest orders and decisions by number, open questions by code, file sizes, the newest log lines";
const OUTSIDE: &str = "secrets, keys, PIN, tokens, phones, names, comments, messages of partners, documents, the words of tunnel commands";

/// Keys whose text helps and tells nothing of people and no secret. All other texts are counted, not shown.
const SHOWN: [&str; 40] = [
    "name",
    "kind",
    "address",
    "timezone",
    "business_day_ends",
    "public",
    "local",
    "hosts",
    "path",
    "paper",
    "roles",
    "printer",
    "workshop",
    "terminal",
    "cloud",
    "dialect",
    "backup",
    "letters",
    "kazakh",
    "cut",
    "buzzer",
    "font",
    "lang",
    "codepage",
    "level",
    "public_url",
    "forward",
    "vat",
    "vat_next",
    "external",
    "unfiscal",
    "qr",
    "issued_by",
    "service_charge",
    "api",
    "tls_name",
    "ca_file",
    "cashbox",
    "host_keys",
    "code_page",
];

/// Fields of a decision that are shown, where their value has the form of a word or a number.
const TOLD: [&str; 24] = [
    "state",
    "code",
    "via",
    "tender",
    "amount",
    "total",
    "due",
    "no",
    "kind",
    "target",
    "tries",
    "way",
    "act",
    "document",
    "register",
    "mark",
    "late",
    "watched",
    "outcome",
    "instead",
    "closing",
    "part",
    "paid",
    "is_autonomous",
];

/// The text in the making.
struct Bundle {
    text: String,
    /// Texts of the configuration that may be secrets.
    words: Vec<String>,
}

impl Bundle {
    fn head(&mut self, title: &str) {
        self.text.push_str(&format!("\n== {title}\n"));
    }

    /// One line, without what must not leave the shop.
    fn line(&mut self, line: &str) {
        let line = scrub(line, &self.words);
        let line: String = line.chars().filter(|sign| !sign.is_control()).take(LINE_CHARS_MAX).collect();
        self.text.push_str(&line);
        self.text.push('\n');
    }

    /// A measured value: its name may hold anything, its value is a number.
    fn metric(&mut self, line: &str) {
        match line.rsplit_once(' ').filter(|(_, value)| value.parse::<f64>().is_ok()) {
            Some((name, value)) => {
                let name = scrub(name, &self.words);
                self.text.push_str(&format!("{name} {value}\n"));
            }
            None => self.line(line),
        }
    }
}

impl Doctor {
    /// The whole text.
    pub(super) async fn bundle(&self, path: &Path, config: Option<&Config>) -> String {
        let mut bundle = Bundle { text: String::new(), words: Vec::new() };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let table: Option<Table> = text.parse().ok();
        let folder = path.parent().unwrap_or(Path::new(""));
        let shown = table.as_ref().map(|table| shown(table, folder, &mut bundle.words));
        if shown.is_none() {
            // Nobody can say what its texts are: none of them leaves the shop.
            let quoted = text.split('"').skip(1).step_by(2).filter(|text| is_telling(text));
            bundle.words.extend(quoted.map(str::to_owned));
        }
        let rules = config.map(crate::daemon::rules);
        bundle.text.push_str(&format!("kassad {} support bundle\n", env!("CARGO_PKG_VERSION")));
        bundle.line(&format!("inside: {INSIDE}"));
        bundle.line(&format!("not inside: {OUTSIDE}"));
        machine(&mut bundle, rules.as_ref());
        bundle.head("configuration");
        bundle.line(&format!("{} bytes, {}", text.len(), mode_of(path)));
        match shown {
            Some(lines) => lines.iter().for_each(|line| bundle.line(line)),
            None => bundle.line("it is no TOML: only doctor's lines tell about it"),
        }
        bundle.head("doctor");
        self.checks.iter().for_each(|check| told(&mut bundle, check));
        if let (Some(config), Some(rules)) = (config, rules.as_ref()) {
            files(&mut bundle, config);
            self.devices(&mut bundle, config).await;
            metrics(&mut bundle, config).await;
            ledger(&mut bundle, &config.ledger, rules);
        }
        log(&mut bundle).await;
        let cut = bundle.text.char_indices().map(|(at, _)| at).take_while(|at| *at <= BYTES_MAX).last().unwrap_or(0);
        if bundle.text.len() > BYTES_MAX {
            bundle.text.truncate(cut);
        }
        bundle.text
    }

    async fn devices(&self, bundle: &mut Bundle, config: &Config) {
        let status = self.status(config).await.unwrap_or(Json::Null);
        let items = |name: &str| status[name].as_array().cloned().unwrap_or_default();
        bundle.head("devices");
        for device in items("devices") {
            let text = |name: &str| device[name].as_str().unwrap_or_default().to_owned();
            // What the partner said stays here: it may name a guest.
            let code = text("code");
            bundle.line(&format!("{} {}: {} {}", text("role"), text("name"), text("state"), word(&code)));
        }
        bundle.head("open questions");
        for question in items("questions") {
            let order = question["order_number"].as_str().unwrap_or_default();
            let code = question["code"].as_str().unwrap_or_default();
            bundle.line(&format!("№{} {}", order_number(order), word(code)));
        }
    }
}

/// Writes it where nothing is yet, for this person only.
pub(super) fn put(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// What it holds and what it does not, in the words of its own head.
pub(super) fn contents() -> [&'static str; 2] {
    [INSIDE, OUTSIDE]
}

fn told(bundle: &mut Bundle, check: &Check) {
    if let Some(code) = &check.code {
        return bundle.line(&format!("{} {} {}", check.level.sign(), check.about, word(code)));
    }
    bundle.line(&format!("{} {} {}", check.level.sign(), check.about, check.text));
    if let Some(cure) = &check.cure {
        bundle.line(&format!("    -> {cure}"));
    }
}

fn machine(bundle: &mut Bundle, rules: Option<&Rules>) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    bundle.head("machine");
    let kernel = read("/proc/sys/kernel/osrelease");
    bundle.line(&format!("{} {} kernel {}", std::env::consts::OS, std::env::consts::ARCH, kernel.trim()));
    let system = read("/etc/os-release");
    let name = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or_default();
    bundle.line(&format!("system {}", name.trim_matches('"')));
    for line in read("/proc/meminfo").lines().filter(|line| line.starts_with("Mem") || line.starts_with("Swap")) {
        bundle.line(&line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    bundle.line(&format!("load {}", read("/proc/loadavg").trim()));
    bundle.line(&format!("up {} s", read("/proc/uptime").split(['.', ' ']).next().unwrap_or_default()));
    if let Some(rules) = rules {
        bundle.line(&format!("time {}", rules.machine_time(Clock::machine().wall())));
    }
}

/// The configuration as it may be shown: no comments, and only texts that are known to be harmless.
fn shown(table: &Table, folder: &Path, hidden: &mut Vec<String>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(section) => lines_of(&format!("[{name}]"), section, folder, hidden, &mut lines),
            Value::Array(all) if all.iter().any(Value::is_table) => {
                for section in all.iter().filter_map(Value::as_table) {
                    lines_of(&format!("[[{name}]]"), section, folder, hidden, &mut lines);
                }
            }
            bare @ (Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_)) => lines.push(format!("{} = {}", word(name), value_of(name, bare, folder, hidden))),
        }
    }
    lines
}

fn lines_of(head: &str, section: &Table, folder: &Path, hidden: &mut Vec<String>, lines: &mut Vec<String>) {
    lines.push(head.to_owned());
    for (key, value) in section {
        let shown = value_of(key, value, folder, hidden);
        lines.push(format!("{} = {shown}", word(key)));
    }
}

fn value_of(key: &str, value: &Value, folder: &Path, hidden: &mut Vec<String>) -> String {
    match value {
        Value::String(text) => text_of(key, text, folder, hidden),
        Value::Integer(number) => number.to_string(),
        Value::Float(_) | Value::Datetime(_) => "…".to_owned(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| value_of(key, item, folder, hidden)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => {
            let pairs: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{} = {}", word(key), value_of(key, value, folder, hidden)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}

fn text_of(key: &str, text: &str, folder: &Path, hidden: &mut Vec<String>) -> String {
    let is_file = key.ends_with("_file") || key.ends_with("_files");
    let secrets = std::env::var_os("CREDENTIALS_DIRECTORY").map_or_else(|| folder.to_owned(), PathBuf::from);
    // A key that was pasted in place of the name of its file is no name of a file.
    let is_name = is_file && (secrets.join(text).exists() || folder.join(text).exists() || is_plain_name(text));
    if is_name || (!is_file && SHOWN.contains(&key)) {
        return format!("\"{}\"", redact(text));
    }
    hidden.push(text.to_owned());
    // Its pieces too: a command is logged word by word, an address without its host.
    let behind_host =
        text.split_once("://").map_or(text, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let pieces = behind_host.split(|sign: char| sign.is_whitespace() || "/?&=".contains(sign));
    hidden.extend(pieces.map(str::to_owned));
    hidden.retain(|piece| is_telling(piece));
    if key == "webhook_url" {
        let place = text.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next()).unwrap_or_default();
        return format!("{HIDDEN} at {}", redact(place.rsplit('@').next().unwrap_or_default()));
    }
    format!("{HIDDEN} ({} characters)", text.chars().count())
}

/// Whether a text is looked for everywhere: short plain words like `run` stand in honest lines too.
fn is_telling(text: &str) -> bool {
    let length = text.chars().count();
    length >= 8 || (length >= 3 && !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
}

/// `aipay.key`: a short name with an end of letters.
fn is_plain_name(text: &str) -> bool {
    let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "-_.".contains(sign);
    text.rsplit_once('.').is_some_and(|(name, end)| {
        name.len() <= 16 && (2..=8).contains(&end.len()) && end.bytes().all(|byte| byte.is_ascii_lowercase())
    }) && text.chars().all(is_plain)
}

/// A word of ours as it is; everything else by its length.
fn word(text: &str) -> String {
    let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "_-. ".contains(sign);
    let is_word = text.len() <= WORD_CHARS_MAX && text.chars().all(is_plain);
    if is_word { redact(text) } else { format!("({} characters)", text.chars().count()) }
}

/// The number of an order, unless it may be something else than a number.
fn order_number(text: &str) -> String {
    let is_number =
        !text.is_empty() && text.len() <= ORDER_DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.to_owned() } else { HIDDEN.to_owned() }
}

fn mode_of(path: &Path) -> String {
    std::fs::metadata(path).map_or_else(
        |cause| cause.kind().to_string(),
        |data| format!("mode {:04o} owner {}", data.permissions().mode() & 0o7777, data.uid()),
    )
}

/// Which files there are, how large and whose; no secret is opened.
fn files(bundle: &mut Bundle, config: &Config) {
    bundle.head("files");
    for path in config.secret_files() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        bundle.line(&format!("secret {name}: {}, not read", mode_of(&path)));
    }
    for end in ["", "-wal", "-shm"] {
        let mut path = config.ledger.clone().into_os_string();
        path.push(end);
        let path = PathBuf::from(path);
        let bytes = std::fs::metadata(&path).map_or(0, |data| data.len());
        bundle.line(&format!("ledger{end}: {bytes} bytes, {}", mode_of(&path)));
    }
    let folder = config.ledger.parent().unwrap_or(Path::new("/"));
    if let Ok(disk) = rustix::fs::statvfs(folder) {
        let free = |blocks: u64| blocks.saturating_mul(disk.f_frsize) >> 20;
        bundle.line(&format!("disk: {} MB free of {} MB", free(disk.f_bavail), free(disk.f_blocks)));
    }
}

async fn metrics(bundle: &mut Bundle, config: &Config) {
    bundle.head("metrics");
    let Ok(web) = Web::open(&local_url(config), &Trust::Roots) else { return };
    match web.send(&Request::get("/metrics"), Limits::LIST).await {
        Ok(answer) if answer.status == 200 => {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            text.lines().filter(|line| !line.starts_with('#')).for_each(|line| bundle.metric(line));
        }
        Ok(answer) => bundle.line(&answer.shape()),
        Err(loss) => bundle.line(&loss.to_string()),
    }
}

fn ledger(bundle: &mut Bundle, path: &Path, rules: &Rules) {
    bundle.head("ledger");
    let reader = match Reader::open(path) {
        Ok(reader) => reader,
        Err(cause) => return bundle.line(&cause.to_string()),
    };
    let view = reader.view();
    bundle.line(&format!("version {}", view.version().unwrap_or_default()));
    match view.census() {
        Ok(rows) => rows.iter().for_each(|Counted { table, state, rows }| {
            bundle.line(&format!("{table} {}: {rows}", state.split(' ').map(word).collect::<Vec<_>>().join(" ")));
        }),
        Err(fault) => bundle.line(&fault.to_string()),
    }
    bundle.head("orders");
    for OrderBrief { source, foreign_id, due, closing, created, attempts } in
        view.last_orders(ORDERS).unwrap_or_default()
    {
        let attempts = attempts.iter().map(|one| word(one)).collect::<Vec<_>>().join(", ");
        bundle.line(&format!(
            "{} №{} {} due {} {}: {attempts}",
            rules.machine_time(created),
            order_number(&foreign_id),
            word(&source),
            due.decimal(),
            word(&closing)
        ));
    }
    bundle.head("journal");
    for Entry { seq, at, kind, subject, order, entry } in view.last_entries(ENTRIES).unwrap_or_default() {
        let order = order.map(|order| format!(" №{}", order_number(&order))).unwrap_or_default();
        let at = rules.machine_time(at);
        bundle.line(&format!("{seq} {at} {} {subject}{order} {}", word(&kind), fields(&entry)));
    }
}

/// The harmless fields of a decision.
fn fields(entry: &str) -> String {
    let json: Json = serde_json::from_str(entry).unwrap_or_default();
    let mut shown = Vec::new();
    let mut look = |path: &str, object: &Json| {
        for (key, value) in object.as_object().into_iter().flatten().filter(|(key, _)| TOLD.contains(&key.as_str())) {
            let value = match value {
                Json::String(text) => word(text),
                Json::Number(number) => number.to_string(),
                Json::Bool(flag) => flag.to_string(),
                Json::Null | Json::Array(_) | Json::Object(_) => continue,
            };
            shown.push(format!("{path}{key}={value}"));
        }
    };
    look("", &json);
    for inside in ["reason", "evidence", "proof"] {
        look(&format!("{inside}."), &json[inside]);
    }
    shown.join(" ")
}

/// A line of the log up to the first field that partners or people worded: such a text has no certain end. Of a reason its code stays.
fn untold(line: &str) -> String {
    let Some((at, field)) = WORDED.iter().filter_map(|field| Some((line.find(field)?, *field))).min() else {
        return line.to_owned();
    };
    let (head, said) = line.split_at(at + field.len());
    let code: String = said.chars().take_while(|sign| sign.is_ascii_lowercase() || *sign == '_').collect();
    match said.strip_prefix(code.as_str()) {
        Some("") if field == REASON => line.to_owned(),
        Some(more) if field == REASON && more.starts_with(": ") => format!("{head}{code}: {HIDDEN}"),
        Some(_) | None => format!("{head}{HIDDEN}"),
    }
}

/// The last lines of the daemon's log, where this machine keeps one for it.
async fn log(bundle: &mut Bundle) {
    bundle.head("log");
    let asked = tokio::process::Command::new("journalctl")
        .args(["-u", "kassad", "-n", LOG_LINES, "--no-pager", "-q", "-o", "short-iso"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    match Clock::machine().limit(LOG_LIMIT, asked).await {
        Ok(Ok(said)) => {
            let text = String::from_utf8_lossy(&said.stdout).into_owned();
            text.lines().for_each(|line| bundle.line(&untold(line)));
        }
        Ok(Err(cause)) => bundle.line(&format!("journalctl: {}", cause.kind())),
        Err(_) => bundle.line("journalctl does not answer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_place_of_a_file_and_unknown_texts_are_not_shown() {
        let text = "[[cloud]]\nname = \"aipay\"\napi_key_file = \"sk-live-abc\"\nwebhook_secret_files = [\"aipay.secret\"]\n\
                    api_key = \"sk-live-def\"\n[fiscal]\nlogin = \"kassa@example.kz\"\n[tunnel]\ncommand = [\"ngrok\", \"authtoken-1\"]\n\
                    [[bot]]\nwebhook_url = \"https://bot.kz/hook/abc?token=1\"\n";
        let mut hidden = Vec::new();
        let lines = shown(&text.parse().unwrap_or_default(), Path::new("/nonexistent"), &mut hidden).join("\n");
        for kept in ["name = \"aipay\"", "[\"aipay.secret\"]", "at bot.kz", "[[cloud]]"] {
            assert!(lines.contains(kept), "{kept}: {lines}");
        }
        for gone in ["sk-live", "kassa@", "authtoken", "/hook", "ngrok"] {
            assert!(!lines.contains(gone), "{gone}: {lines}");
        }
        assert!(hidden.contains(&"sk-live-def".to_owned()) && hidden.contains(&"authtoken-1".to_owned()));
    }

    #[test]
    fn a_line_of_the_log_ends_where_somebody_else_speaks() {
        for (line, shown) in [
            ("WARN no connection code=tunnel_login", "WARN no connection code=tunnel_login"),
            ("WARN refused attempt=k7 reason=pos_key", "WARN refused attempt=k7 reason=pos_key"),
            ("WARN refused reason=busy: Айгерім a=b tries=1", "WARN refused reason=busy: •••"),
            ("WARN refused reason=Айгерім reason=busy", "WARN refused reason=•••"),
            ("INFO signed in device=maria id=4", "INFO signed in device=•••"),
            ("WARN lost code=x detail=\"maria\" reason=busy", "WARN lost code=x detail=•••"),
        ] {
            assert_eq!(untold(line), shown);
        }
    }

    #[test]
    fn a_decision_shows_words_and_numbers_only() {
        let entry = "{\"state\":\"paid\",\"amount\":1240000,\"phone\":\"77011234567\",\"who\":\"Айгерім\",\
                     \"reason\":{\"code\":\"busy\",\"detail\":\"Айгерім\"},\"code\":\"Айгерім\"}";
        assert_eq!(fields(entry), "amount=1240000 code=(7 characters) state=paid reason.code=busy");
    }
}
