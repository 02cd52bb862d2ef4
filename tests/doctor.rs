//! `kassad doctor` and `kassad devices` as an installer runs them: the true binary beside the true daemon, for a shop that is well, one that
//! somebody should look at, and one that must be put right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use crate::shop::Counter;
use kassad::host::clock::Clock;
use kassad::host::ids::Ids;
use kassad::host::secret::write_private;
use kassad::sandbox::plugs::{CH340, Cable, FTDI, Model, Plugs, TM_T20, socket_link};
use kassad::transport::discover::Bus;
use kassad::transport::ssh_key;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const TEN_MINUTES_MS: i64 = 600_000;

/// What a command said and how it ended.
pub struct Ran {
    pub exit: i32,
    pub out: String,
    pub json: Value,
}

impl Ran {
    /// The checks about something, as level and text.
    fn about(&self, about: &str) -> Vec<(String, String)> {
        let text = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
        let checks = self.json["checks"].as_array().cloned().unwrap_or_default();
        let ours = checks.iter().filter(|check| check["about"] == about);
        ours.map(|check| (text(check, "level"), format!("{} {}", text(check, "text"), text(check, "cure")))).collect()
    }

    fn levels(&self) -> Vec<(String, String)> {
        let checks = self.json["checks"].as_array().cloned().unwrap_or_default();
        let pair = |check: &Value| (check["about"].to_string(), check["level"].as_str().unwrap_or_default().to_owned());
        checks.iter().map(pair).collect()
    }
}

pub async fn run(words: &[&str]) -> Ran {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let ran = tokio::task::spawn_blocking(move || Command::new(env!("CARGO_BIN_EXE_kassad")).args(words).output());
    let ran = ran.await.unwrap().unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    let json = serde_json::from_str(&out).unwrap_or(Value::Null);
    Ran { exit: ran.status.code().unwrap(), json, out: out + &String::from_utf8_lossy(&ran.stderr) }
}

/// A shop whose clock shows the machine's time, and its configuration as a file; `more` is added to it, `change` done to it.
pub async fn shop(ahead_ms: i64) -> Counter {
    let shop = Counter::open().await;
    let now = Clock::machine().wall();
    shop.clock.jump(now.plus_ms(ahead_ms));
    shop
}

pub fn file(shop: &Counter, change: impl Fn(String) -> String) -> String {
    let path = shop.folder.path().join("kassad.toml");
    let _written = shop.config();
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("local = \"127.0.0.1:0\"", &format!("local = \"{}\"", shop.local()));
    // Who issues the receipts is said: for all of them it is Kaspi.
    let text = if text.contains("[fiscal]") {
        text
    } else {
        text + "\n[fiscal]\nkind = \"external\"\nissued_by = \"Kaspi\"\n"
    };
    std::fs::write(&path, change(text)).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn doctor(config: &str, root: &Path) -> Ran {
    run(&["--lang", "en", "doctor", "--config", config, "--root", root.to_str().unwrap(), "--json"]).await
}

async fn sell(shop: &Counter) {
    let order = shop.order();
    let id = shop.pay(order, "cash").await;
    shop.until_done(&id).await;
}

async fn until_all_up(shop: &Counter) {
    let is_up = async || {
        let devices = shop.get("/api/v1/status").await.body["devices"].as_array().cloned().unwrap_or_default();
        devices.len() == 6
            && devices.iter().all(|device| ["up", "unknown"].contains(&device["state"].as_str().unwrap()))
    };
    shop.until("all devices are up", is_up).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_in_order_is_green_and_one_without_its_display_is_yellow() {
    let mut shop = shop(-TEN_MINUTES_MS).await;
    sell(&shop).await;
    until_all_up(&shop).await;
    let machine = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(machine.path().join("run/systemd/timesync")).unwrap();
    std::fs::write(machine.path().join("run/systemd/timesync/synchronized"), "").unwrap();
    let config = file(&shop, |text| text);
    let ran = doctor(&config, machine.path()).await;
    assert_eq!((ran.exit, &ran.json["level"]), (0, &"green".into()), "{}", ran.out);
    for about in [
        "config",
        "link.till1",
        "terminal.till1",
        "ledger",
        "kassad",
        "printer.receipt",
        "pos.poster",
        "questions",
        "clock",
        "tunnel",
    ] {
        assert!(ran.about(about).iter().any(|(level, _)| level == "green"), "{about}: {}", ran.out);
    }
    // The same for a person's eyes, in the language of the shop.
    let ran = run(&["doctor", "--config", &config]).await;
    assert!(ran.out.contains("kassad работает") && ran.out.contains("Открытых вопросов нет"), "{}", ran.out);
    // A display that is not plugged in, a terminal whose certificate nobody checks, another in clear text, a clock out of step.
    std::fs::remove_file(machine.path().join("run/systemd/timesync/synchronized")).unwrap();
    let root = machine.path().display();
    // With a real terminal the word of the sandbox would be a fault of its own.
    let config = file(&shop, |text| {
        format!(
            "{text}\n[[display]]\nname = \"pole\"\nkind = \"cd5220\"\naddress = \"serial:?vid=0403&pid=6001&root={root}\"\n\
             [[terminal]]\nname = \"bar\"\nkind = \"kaspi_smart_pos\"\naddress = \"https://10.0.0.5:8080\"\ninsecure = true\n\
             [[terminal]]\nname = \"hall\"\nkind = \"kaspi_smart_pos\"\naddress = \"http://10.0.0.6:8080\"\nprotected = false\n"
        )
    });
    // With a real terminal the word of the sandbox would be a fault of its own.
    for secret in ["bot.key", "bot.secret"] {
        write_private(&shop.folder.path().join(secret), "real").unwrap();
    }
    let ran = doctor(&config, machine.path()).await;
    assert_eq!((ran.exit, &ran.json["level"]), (1, &"yellow".into()), "{}", ran.out);
    let expected = [
        ("plug.pole", "kassad devices"),
        ("link.bar", "certificate is not checked"),
        ("link.hall", "not protected"),
        ("clock", "timedatectl"),
    ];
    for (about, word) in expected {
        let told = ran.about(about);
        assert!(told.iter().any(|(level, text)| level == "yellow" && text.contains(word)), "{about}: {told:?}");
    }
    let yellow = ran.levels().into_iter().filter(|(_, level)| level == "yellow").count();
    assert_eq!(yellow, expected.len(), "{:?}", ran.levels());
    shop.stop().await;
}

/// A configuration whose register nobody answers for: it is not asked while this test looks at who issues what.
fn receipts(folder: &Path, name: &str, fiscal: &str) -> String {
    let text = format!(
        "[listen]\npublic = \"127.0.0.1:1\"\nlocal = \"127.0.0.1:2\"\n[ledger]\npath = \"ledger.db\"\n\
         [[terminal]]\nname = \"till1\"\nkind = \"kaspi_smart_pos\"\naddress = \"https://10.0.0.5:8080\"\n\
         [[cloud]]\nname = \"aipay\"\nkind = \"aipay\"\naddress = \"https://api.aipay.kz/v1\"\n\
         api_key_file = \"secret\"\nwebhook_secret_files = [\"secret\"]\n{fiscal}"
    );
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_issues_receipts_is_told_by_tender_and_silence_is_red() {
    let folder = tempfile::tempdir().unwrap();
    write_private(&folder.path().join("secret"), "a real one").unwrap();
    let ask = async |name: &str, fiscal: &str| {
        let config = receipts(folder.path(), name, fiscal);
        doctor(&config, folder.path()).await
    };
    let level =
        |ran: &Ran, about: &str| ran.about(about).into_iter().map(|(level, _)| level).collect::<Vec<_>>().join(" ");
    let ran = ask("silent.toml", "").await;
    assert_eq!(level(&ran, "fiscal"), "red", "{}", ran.out);
    let ran = ask("none.toml", "[fiscal]\nkind = \"none\"\nexternal = []\n").await;
    assert_eq!(ran.about("fiscal"), [("yellow".to_owned(), ran.about("fiscal")[0].1.clone())], "{}", ran.out);
    assert!(ran.about("fiscal.cash").is_empty(), "said once is enough: {}", ran.out);
    // AiPay issues its own; the rest is nobody's, and each is said.
    let ran = ask("cloud.toml", "[fiscal]\nkind = \"none\"\n").await;
    assert_eq!(level(&ran, "fiscal.kaspi_invoice"), "green", "{}", ran.out);
    assert_eq!(level(&ran, "fiscal.cash"), "yellow", "{}", ran.out);
    assert!(ran.about("fiscal.kaspi_invoice")[0].1.contains("AiPay"), "{}", ran.out);
    let ran = ask("kaspi.toml", "[fiscal]\nkind = \"external\"\nissued_by = \"Kaspi\"\nunfiscal = [\"cash\"]\n").await;
    assert_eq!(level(&ran, "fiscal.kaspi_terminal"), "green", "{}", ran.out);
    assert_eq!(level(&ran, "fiscal.cash"), "yellow", "{}", ran.out);
    assert!(ran.about("fiscal.kaspi_qr").is_empty(), "nobody here takes it: {}", ran.out);
    // A register of ours: AiPay's payments are known, and whether Kaspi Kassa is on has to be said.
    let register = "[fiscal]\nkind = \"webkassa\"\naddress = \"http://127.0.0.1:9\"\napi_key_file = \"secret\"\n\
                    login = \"kassa\"\npassword_file = \"secret\"\ncashbox = \"SWK00000007\"\nvat = \"16\"\n";
    let ran = ask("ours.toml", register).await;
    assert_eq!(level(&ran, "fiscal.cash"), "green", "{}", ran.out);
    assert_eq!(level(&ran, "fiscal.kaspi_invoice"), "green", "{}", ran.out);
    assert_eq!(level(&ran, "fiscal.kaspi_terminal"), "green yellow", "{}", ran.out);
    assert!(ran.about("fiscal.kaspi_terminal")[1].1.contains("Kaspi Kassa"), "{}", ran.out);
    // No daemon runs, so the register itself is asked; nobody is there.
    assert_eq!(level(&ran, "fiscal.webkassa"), "red", "{}", ran.out);
    let ran = ask("said.toml", &format!("{register}external = [\"kaspi_invoice\"]\nissued_by = \"AiPay\"\n")).await;
    assert_eq!(level(&ran, "fiscal.kaspi_terminal"), "green", "{}", ran.out);
    // Written out without AiPay, its guests would get two.
    let ran = ask("twice.toml", &format!("{register}external = [\"kaspi_terminal\"]\nissued_by = \"Kaspi\"\n")).await;
    let told = ran.about("fiscal.kaspi_invoice");
    assert!(told.len() == 1 && told[0].0 == "red" && told[0].1.contains("add \"kaspi_invoice\""), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unclear_payment_and_a_clock_behind_the_ledger_are_red() {
    let mut shop = shop(TEN_MINUTES_MS).await;
    let order = shop.order();
    shop.till().set_unknown(1_000_000, true);
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "unresolved").await;
    let machine = tempfile::tempdir().unwrap();
    let config = file(&shop, |text| text);
    let ran = doctor(&config, machine.path()).await;
    assert_eq!(ran.exit, 2, "{}", ran.out);
    for (about, word) in [("question", "Do not charge again"), ("clock", "behind the newest row")] {
        let told = ran.about(about);
        assert!(told.iter().any(|(level, text)| level == "red" && text.contains(word)), "{about}: {told:?}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_daemon_is_red_and_its_ledger_is_not_touched() {
    let mut shop = shop(-TEN_MINUTES_MS).await;
    sell(&shop).await;
    let config = file(&shop, |text| text);
    shop.stop().await;
    let machine = tempfile::tempdir().unwrap();
    let plugs = Plugs::new(machine.path()).unwrap();
    let ledger = shop.folder.path().join("ledger.db");
    let before = std::fs::read(&ledger).unwrap();
    let ran = doctor(&config, machine.path()).await;
    assert_eq!(ran.exit, 2, "{}", ran.out);
    assert!(ran.about("kassad")[0].1.contains("systemctl status kassad"), "{}", ran.out);
    // No service tells about the clock here: that is no alarm.
    assert_eq!(ran.about("clock")[0].0, "unknown");
    assert_eq!(std::fs::read(&ledger).unwrap(), before);
    // Two printers of the configuration at one plug, and one that the daemon may not open.
    let cable = Cable::new().unwrap();
    plugs.plug(Bus::Serial, "ttyUSB0", "1-1", FTDI, &cable.node).unwrap();
    forbidden(machine.path(), &plugs);
    let root = machine.path().display();
    let printer = |name: &str, mark: &str| {
        format!("[[printer]]\nname = \"{name}\"\nkind = \"escpos\"\naddress = \"{mark}&root={root}\"\n")
    };
    let text = std::fs::read_to_string(&config).unwrap()
        + &printer("one", "serial:?vid=0403&pid=6001")
        + &printer("two", "serial:?vid=0403&pid=6001&serial=A50285BI")
        + &printer("three", "usb:?vid=04b8&pid=0e03");
    std::fs::write(&config, text).unwrap();
    let ran = doctor(&config, machine.path()).await;
    assert!(
        ran.about("plug.two").iter().any(|(level, text)| level == "red" && text.contains("by-path")),
        "{}",
        ran.out
    );
    assert!(ran.about("plug.three").iter().any(|(level, text)| level == "red" && text.contains("udev")), "{}", ran.out);
    std::fs::write(&config, "[shop\n").unwrap();
    assert_eq!(doctor(&config, machine.path()).await.exit, 2);
}

/// A printer that is there and may not be opened, whoever runs the tests: root is judged as the daemon's user.
fn forbidden(machine: &Path, plugs: &Plugs) {
    std::fs::create_dir(machine.join("etc")).unwrap();
    std::fs::write(machine.join("etc/passwd"), "kassad:x:64990:64990::/:/bin/false\n").unwrap();
    let node = machine.join("node");
    std::fs::write(&node, "").unwrap();
    std::fs::set_permissions(&node, std::fs::Permissions::from_mode(0o0)).unwrap();
    plugs.plug(Bus::Usb, "lp0", "1-4", TM_T20, &node).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_told_with_their_line_and_what_is_forbidden_with_its_cure() {
    let machine = tempfile::tempdir().unwrap();
    let plugs = Plugs::new(machine.path()).unwrap();
    let pole = Model { vid: "0483", pid: "5740", serial: "VFD0042", title: "Customer Display VFD" };
    let cables = [Cable::new().unwrap(), Cable::new().unwrap()];
    plugs.plug(Bus::Serial, "ttyACM0", "1-1", pole, &cables[0].node).unwrap();
    plugs.plug(Bus::Serial, "ttyUSB0", "1-2", CH340, &cables[1].node).unwrap();
    forbidden(machine.path(), &plugs);
    let root = machine.path().to_str().unwrap();
    let ran = run(&["devices", "--root", root, "--json"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.out);
    let text = |at: usize, name: &str| ran.json["devices"][at][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(ran.json["devices"].as_array().unwrap().len(), 3, "{}", ran.out);
    assert_eq!((text(0, "path"), text(0, "guess")), ("/dev/ttyACM0".to_owned(), "display".to_owned()));
    assert_eq!(text(0, "address"), format!("serial:?vid=0483&pid=5740&serial=VFD0042&root={root}&baud=9600"));
    assert_eq!((text(1, "guess"), text(1, "pid")), ("unknown".to_owned(), "7523".to_owned()));
    assert!(text(1, "address").starts_with(&format!("serial:by-path/{}", socket_link("1-2"))));
    assert_eq!((text(2, "path"), text(2, "guess")), ("/dev/usb/lp0".to_owned(), "printer".to_owned()));
    assert_eq!(ran.json["devices"][2]["permitted"], false);
    assert!(text(2, "cure").contains("udev/70-kassad.rules"), "{}", ran.out);
    let ran = run(&["--lang", "kk", "devices", "--root", root]).await;
    for word in ["/dev/ttyACM0", "клиент экраны", "address = \"usb:?vid=04b8&pid=0e03", "udev/70-kassad.rules"]
    {
        assert!(ran.out.contains(word), "{word}: {}", ran.out);
    }
    let nothing = tempfile::tempdir().unwrap();
    let ran = run(&["devices", "--root", nothing.path().to_str().unwrap()]).await;
    assert_eq!((ran.exit, ran.out.trim()), (0, "Ничего не подключено"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn printers_on_the_lan_are_told_on_demand_and_nobody_is_called_without() {
    let machine = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(machine.path().join("proc/net")).unwrap();
    let table = "IP address HW type Flags HW address Mask Device\n\
                 127.77.9.7 0x1 0x2 00:26:ab:00:00:0a * eth0\n127.77.9.8 0x1 0x2 00:26:ab:00:00:0b * eth0\n";
    std::fs::write(machine.path().join("proc/net/arp"), table).unwrap();
    let printer = std::net::TcpListener::bind("127.77.9.7:9100").unwrap();
    printer.set_nonblocking(true).unwrap();
    let root = machine.path().to_str().unwrap();
    let ran = run(&["devices", "--root", root, "--json"]).await;
    assert_eq!(ran.json["devices"], serde_json::json!([]));
    assert!(printer.accept().is_err(), "nobody asked for it");
    let ran = run(&["devices", "--lan", "--root", root, "--json"]).await;
    let told = ran.json["devices"].as_array().unwrap();
    assert_eq!(told.len(), 1, "{}", ran.out);
    let about = ["bus", "mac", "guess", "address"].map(|name| told[0][name].as_str().unwrap());
    assert_eq!(about, ["lan", "00:26:ab:00:00:0a", "printer", "tcp://127.77.9.7:9100"]);
    let mut said = Vec::new();
    let (mut caller, _) = printer.accept().unwrap();
    std::io::Read::read_to_end(&mut caller, &mut said).unwrap();
    assert_eq!(said, b"");
    let ran = run(&["--lang", "en", "devices", "--lan", "--root", root]).await;
    for word in ["127.77.9.7", "00:26:ab:00:00:0a — printer", "address = \"tcp://127.77.9.7:9100\""] {
        assert!(ran.out.contains(word), "{word}: {}", ran.out);
    }
}

/// The way in, as it is for this shop's configuration with another `[tunnel]`.
async fn way_in(shop: &Counter, section: &str) -> Ran {
    let config = file(shop, |text| text.replace("[tunnel]\nkind = \"none\"\n", &format!("[tunnel]\n{section}\n")));
    doctor(&config, shop.folder.path()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_the_way_in_is_proven_by_a_question_that_comes_back() {
    let mut shop = shop(-TEN_MINUTES_MS).await;
    let level = |ran: &Ran, about: &str, level: &str, word: &str| {
        let told = ran.about(about);
        assert!(told.len() == 1 && told[0].0 == level && told[0].1.contains(word), "{about}: {told:?} of {}", ran.out);
    };
    let ran = way_in(&shop, "kind = \"none\"").await;
    level(&ran, "tunnel", "green", "slower and complete");
    assert!(ran.about("tunnel.probe").is_empty());
    let through = |url: &str| format!("kind = \"none\"\npublic_url = \"{url}\"");
    let own = format!("http://{}", shop.public());
    let ran = way_in(&shop, &through(&own)).await;
    level(&ran, "tunnel.probe", "green", &own);
    level(&ran, "webhook.aipay", "green", &format!("{own}/webhooks/aipay"));
    // The same house, another door: a server that answers, but is not we.
    let other = shop.shop.world.aipay_base().trim_end_matches("/v1").to_owned();
    level(&way_in(&shop, &through(&other)).await, "tunnel.probe", "yellow", "Somebody else's server");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = way_in(&shop, &through(&format!("http://{free}"))).await;
    level(&ran, "tunnel.probe", "yellow", "port 443 is open");
    // What answers there speaks no TLS; an address of ours without it is said too.
    let ran = way_in(&shop, &through(&format!("https://{}", shop.public()))).await;
    level(&ran, "tunnel.probe", "yellow", "");
    let section = format!("kind = \"command\"\ncommand = [\"no-such-program\", \"word\"]\npublic_url = \"{own}\"");
    let ran = way_in(&shop, &section).await;
    level(&ran, "tunnel.command", "red", "whole path");
    assert!(!ran.out.contains("word\""), "{}", ran.out);
    level(&way_in(&shop, &section.replace("no-such-program", "sh")).await, "tunnel.command", "green", "sh");
    // A key that others may read, one that is none, and a good one.
    let key = shop.folder.path().join("tunnel.key");
    let section = format!(
        "kind = \"ssh\"\naddress = \"ssh://kassad@127.0.0.1:1\"\nkey_file = \"tunnel.key\"\nforward = \"/run/kassad/shop.sock\"\n\
         host_keys = [\"SHA256:Nd9iuSQJVn0RAbKJZW8ixHa+dqaF0Fsx5q0IGxkbMXo\"]\npublic_url = \"{own}\""
    );
    level(&way_in(&shop, &section).await, "tunnel.key_file", "red", "kassad setup");
    write_private(&key, "no key").unwrap();
    level(&way_in(&shop, &section).await, "tunnel.key_file", "red", "kassad setup");
    write_private(&key, ssh_key::make(&Ids::machine(), "x").unwrap().private.expose()).unwrap();
    let ran = way_in(&shop, &section).await;
    level(&ran, "tunnel.key_file", "green", "tunnel.key");
    level(&ran, "tunnel.host_keys", "green", "SHA256:Nd9i");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    level(&way_in(&shop, &section).await, "tunnel.key_file", "red", "chmod 600");
    // Without the daemon nobody knows whose answer would come back.
    let section = through(&own);
    let config = file(&shop, |text| text.replace("[tunnel]\nkind = \"none\"\n", &format!("[tunnel]\n{section}\n")));
    shop.stop().await;
    level(&doctor(&config, shop.folder.path()).await, "tunnel.probe", "unknown", "not looked at");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_commands_have_an_example_in_their_help() {
    for command in ["doctor", "devices"] {
        let ran = run(&[command, "-h"]).await;
        assert!(
            ran.exit == 0 && ran.out.contains("Example: ") && ran.out.contains(&format!("kassad {command}")),
            "{}",
            ran.out
        );
    }
}
