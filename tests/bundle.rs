//! The support bundle beside the true daemon: secrets, phones and names are planted in every place that can hold them, and the bundle, which
//! still tells what support needs, has none of them, in no spelling that is looked for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use crate::doctor::{file, run, shop};
use crate::shop::{Counter, PHONE};
use kassad::host::ids::Ids;
use kassad::host::secret::write_private;
use kassad::transport::ssh_key;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const GUEST: &str = "Канарейкина Айгүл";
const CASHIER: &str = "Канарейкин Тимур";
const AS_ID: &str = "77015556677";
const IN_LOG: &str = "+7 (701) 999-88-77";
const IN_REASON: &str = "Канарейкина Сауле";
const IN_NAME: &str = "Планшет Канарейкиной";
const IN_DETAIL: &str = "Канарейкин Ерлан";
const PIN: &str = "48091537";
const HOOK: &str = "hook-canary-4b1d9f";
const COMMAND_WORD: &str = "authtoken-canary-2x9";
const PASTED: &str = "sk-live-pasted-canary-77";

/// What was planted, where, and the bytes of that place.
struct Planted(Vec<(String, Vec<u8>)>);

impl Planted {
    /// Only what is really there counts.
    fn plant(&mut self, canary: &str, place: &[u8]) {
        let is_there = place.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(is_there, "{canary} was not planted");
        self.0.push((canary.to_owned(), canary.as_bytes().to_vec()));
    }

    /// In plain, in hex of both cases, and in base64 wherever it may begin.
    fn is_absent_from(&self, bundle: &str) {
        assert!(self.0.len() >= 20, "{}", self.0.len());
        for (name, bytes) in &self.0 {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let coded = (0..3).map(|shift| base64(&[&vec![b' '; shift], bytes.as_slice()].concat(), shift));
            let spellings = [name.clone(), hex.to_uppercase(), hex].into_iter().chain(coded);
            for spelling in spellings.filter(|spelling| spelling.len() >= 4) {
                let at = bundle.find(&spelling);
                assert!(
                    at.is_none(),
                    "{name} as {spelling}: …{}…",
                    &bundle[..at.unwrap_or(0)].lines().last().unwrap_or("")
                );
            }
        }
    }
}

/// The letters of base64 that belong to the bytes behind `shift` others, and to nothing else.
fn base64(bytes: &[u8], shift: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks_exact(3) {
        let word = u32::from(chunk[0]) << 16 | u32::from(chunk[1]) << 8 | u32::from(chunk[2]);
        out.extend([18, 12, 6, 0].map(|bits| char::from(LETTERS[(word >> bits & 63) as usize])));
    }
    out.chars().skip(if shift == 0 { 0 } else { shift + 1 }).collect()
}

/// Everything of the ledger's files.
fn ledger(shop: &Counter) -> Vec<u8> {
    let read = |end: &str| std::fs::read(shop.folder.path().join(format!("ledger.db{end}"))).unwrap_or_default();
    [read(""), read("-wal")].concat()
}

/// A day with guests: a phone invoice, a bot whose ids are phones, a notice with words of its own, a named person's answer.
async fn a_day(shop: &Counter, planted: &mut Planted) -> u64 {
    let sold = shop.order();
    let id = shop.pay(sold, "cash").await;
    shop.until_done(&id).await;
    let order = shop.order();
    shop.pay(order, "kaspi_invoice").await;
    shop.until_invoices(1).await;
    let wish = json!({ "phone": PHONE, "amount": 900, "description": GUEST, "external_id": AS_ID });
    let said = shop.bot_post(&wish).await;
    assert_eq!(said.status, 201, "{}", said.text);
    let body = format!(
        "{{\"event\":\"invoice.paid\",\"invoice_id\":\"inv_canary_99\",\"who\":\"{GUEST}\",\"phone\":\"{PHONE}\"}}"
    );
    assert_eq!(shop.signed_notice(&body).await, 200);
    // A named person gives money back, and says why in words of their own.
    let back = json!({ "by": CASHIER, "because": format!("{GUEST}, {PHONE}"), "amount": 100 });
    let said = shop.post(&format!("/api/v1/payments/{id}/refund"), &back).await;
    assert_eq!(said.status, 201, "{}", said.text);
    let kept = ledger(shop);
    for canary in [GUEST, CASHIER, PHONE, AS_ID, "inv_canary_99", "Айгерім"] {
        planted.plant(canary, &kept);
    }
    sold
}

/// The tokens that the terminal gave us, as the ledger keeps them.
fn tokens(shop: &Counter, planted: &mut Planted) {
    let connection = rusqlite::Connection::open_with_flags(
        shop.folder.path().join("ledger.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .unwrap();
    let mut query = connection.prepare("SELECT value FROM vault").unwrap();
    let kept: Vec<String> = query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let before = planted.0.len();
    for text in &kept {
        let json: Value = serde_json::from_str(text).unwrap_or_default();
        for secret in ["access", "refresh"].iter().filter_map(|name| json[*name].as_str()) {
            planted.plant(secret, text.as_bytes());
        }
    }
    assert!(planted.0.len() >= before + 2, "no tokens in {kept:?}");
}

/// Secret files of every kind, each with its own canary, named by the configuration that doctor reads.
fn secrets(folder: &Path, planted: &mut Planted) {
    for name in ["aipay.key", "aipay.secret", "bot.key", "bot.secret", "poster.token"] {
        let canary = format!("canary-{}-q8z", name.replace('.', "-"));
        write_private(&folder.join(format!("real-{name}")), &canary).unwrap();
        planted.plant(&canary, &std::fs::read(folder.join(format!("real-{name}"))).unwrap());
    }
    write_private(&folder.join("counter.pin"), PIN).unwrap();
    planted.plant(PIN, &std::fs::read(folder.join("counter.pin")).unwrap());
    let key = ssh_key::make(&Ids::machine(), "canary").unwrap();
    write_private(&folder.join("tunnel.key"), key.private.expose()).unwrap();
    let lines: Vec<&str> = key.private.expose().lines().filter(|line| !line.starts_with('-')).collect();
    assert!(lines.len() >= 4);
    lines.iter().for_each(|line| planted.plant(line, &std::fs::read(folder.join("tunnel.key")).unwrap()));
}

/// A log with what must never stand in one. `journalctl` is the shell under that name: it is told `-u kassad …` and runs the file `kassad`.
fn a_log(folder: &Path, planted: &mut Planted) {
    let lines = format!(
        "echo '2026-11-21T13:00:00+05:00 shop kassad[7]: WARN tunnel down code=tunnel_login'\n\
         echo 'INFO Authorization: Bearer canary-bearer-7 phone={IN_LOG} GET /x?token=canary-query-7'\n\
         echo 'WARN the cloud refused the invoice attempt=k1 reason=cloud_said: {IN_REASON} tries=2'\n\
         echo 'INFO a device signed in device={IN_NAME} id=4'\n\
         echo 'INFO {COMMAND_WORD} {{\"password\":\"canary-word-7\"}} 0123456789abcdef0123456789canary {HOOK}'\n"
    );
    std::fs::write(folder.join("kassad"), &lines).unwrap();
    std::os::unix::fs::symlink("/bin/sh", folder.join("journalctl")).unwrap();
    for canary in [
        "canary-bearer-7",
        "canary-query-7",
        "canary-word-7",
        "0123456789abcdef0123456789canary",
        IN_LOG,
        IN_REASON,
        IN_NAME,
    ] {
        planted.plant(canary, lines.as_bytes());
    }
}

/// Runs doctor in a folder, whose log is its own.
async fn bundle(folder: &Path, config: &str, to: &Path) -> (i32, String) {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(env!("CARGO_BIN_EXE_kassad"));
    command.args(["--lang", "en", "doctor", "--config", config, "--bundle", to.to_str().unwrap()]);
    command.current_dir(folder).env("PATH", path).env_remove("CREDENTIALS_DIRECTORY");
    let ran = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    (ran.status.code().unwrap(), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_tells_what_helps_and_nothing_of_secrets_and_guests() {
    let mut shop = shop(-600_000).await;
    let mut planted = Planted(Vec::new());
    let order = a_day(&shop, &mut planted).await;
    // A partner's own words name a guest: the page shows them, support does not get them.
    shop.says("desk", "cloud", "warn", "busy", &format!("{IN_DETAIL} отказался"));
    planted.plant(IN_DETAIL, shop.get("/api/v1/status").await.text.as_bytes());
    tokens(&shop, &mut planted);
    let folder = shop.folder.path().to_owned();
    secrets(&folder, &mut planted);
    a_log(&folder, &mut planted);
    let tunnels = [
        format!(
            "kind = \"command\"\ncommand = [\"no-such-program\", \"--token\", \"{COMMAND_WORD}\"]\npublic_url = \"http://127.0.0.1:1\""
        ),
        format!(
            "kind = \"ssh\"\naddress = \"ssh://kassad@203.0.113.7\"\nkey_file = \"tunnel.key\"\nforward = \"/run/kassad/shop.sock\"\nfree_command = \"free --pass {COMMAND_WORD}\"\nhost_keys = [\"SHA256:Nd9iuSQJVn0RAbKJZW8ixHa+dqaF0Fsx5q0IGxkbMXo\"]\npublic_url = \"http://127.0.0.1:1\""
        ),
    ];
    for (number, tunnel) in tunnels.iter().enumerate() {
        let config = file(&shop, |text| {
            let text = text.replace("kind = \"none\"", tunnel);
            let text = text.replace("[listen]\n", "[listen]\npin_file = \"counter.pin\"\n");
            let text = ["aipay.key", "aipay.secret", "bot.key", "bot.secret", "poster.token"]
                .iter()
                .fold(text, |text, name| text.replace(&format!("\"{name}\""), &format!("\"real-{name}\"")));
            let hook = text.lines().find(|line| line.starts_with("webhook_url")).unwrap_or_default().to_owned();
            text.replace(&hook, &format!("webhook_url = \"https://bot.example.kz/{HOOK}?who={PHONE}\" # for {GUEST}"))
        });
        let text = std::fs::read(&config).unwrap();
        planted.plant(COMMAND_WORD, &text);
        planted.plant(HOOK, &text);
        planted.plant(GUEST, &text);
        let to = folder.join(format!("shop-{number}.txt"));
        let (exit, said) = bundle(&folder, &config, &to).await;
        assert_eq!(exit, 0, "{said}");
        assert!(said.contains("Inside: version") && said.contains("Not inside: secrets"), "{said}");
        let told = std::fs::read_to_string(&to).unwrap();
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        planted.is_absent_from(&told);
        planted.is_absent_from(&said);
        // It is of use all the same.
        for head in [
            "machine",
            "configuration",
            "doctor",
            "files",
            "devices",
            "open questions",
            "metrics",
            "ledger",
            "orders",
            "journal",
            "log",
        ] {
            assert!(told.contains(&format!("\n== {head}\n")), "{head}: {told}");
        }
        for word in [
            format!("№{order}").as_str(),
            "cash cashier paid",
            "kind = \"aipay\"",
            "real-aipay.key: mode 0600",
            "not read",
            "kassad_",
            "vault : ",
            "state=paid",
            "attempts waiting: ",
            "code=tunnel_login",
            "reason=cloud_said: •••",
            "cloud desk: warn busy",
            "tunnel.probe",
            "[!]",
            "at bot.example.kz",
        ] {
            assert!(told.contains(word), "{word}: {told}");
        }
        // What is there is never replaced.
        let (exit, said) = bundle(&folder, &config, &to).await;
        assert_eq!((exit, std::fs::read_to_string(&to).unwrap()), (2, told), "{said}");
    }
    shop.stop().await;
}

/// The commonest slip: the key itself where the name of its file belongs, or under a key that nobody knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_was_pasted_into_the_configuration_stays_at_home() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kassad.toml");
    let text = format!(
        "[[cloud]]\nname = \"aipay\"\nkind = \"aipay\"\naddress = \"https://api.aipay.kz/v1\"\napi_key_file = \"{PASTED}\"\n\
         webhook_secret_files = [\"aipay.secret\"]\n# the old one: {PASTED}\n"
    );
    for (number, text) in
        [text.clone(), format!("{text}api_key = \"{PASTED}\"\n"), format!("{text}[broken\n")].iter().enumerate()
    {
        std::fs::write(&config, text).unwrap();
        let to = folder.path().join(format!("{number}.txt"));
        let ran =
            run(&["--lang", "en", "doctor", "--config", config.to_str().unwrap(), "--bundle", to.to_str().unwrap()])
                .await;
        assert_eq!(ran.exit, 0, "{}", ran.out);
        let told = std::fs::read_to_string(&to).unwrap();
        assert!(!told.contains(PASTED) && told.contains("\n== doctor\n[x] "), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_name_it_asks_where() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("asked.txt");
    let answer = format!("{}\n", to.display());
    let mut child = Command::new(env!("CARGO_BIN_EXE_kassad"))
        .args(["--lang", "en", "doctor", "--config", "/nonexistent", "--bundle"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), answer.as_bytes()).unwrap();
    let ran = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(
        ran.status.success() && said.contains("Where shall the file for support go [kassad-support.txt]"),
        "{said}"
    );
    assert!(std::fs::read_to_string(&to).unwrap().starts_with("kassad "));
}
