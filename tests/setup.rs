//! `kassad setup` as an installer talks with it: the true binary, through a pipe and on a terminal. What it writes is read by the same
//! `kassad check` that anybody runs, and what it was not asked about is still there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use kassad::config::Config;
use kassad::config::tunnel::{Forward, TunnelKind};
use kassad::domain::fiscal::Vat;
use kassad::domain::order::Tender;
use kassad::drivers::Value;
use kassad::flows::Issuer;
use kassad::host::ids::Ids;
use kassad::host::secret::{Secret, write_private};
use kassad::sandbox::plugs::{Cable, Plugs, TM_T20};
use kassad::transport::discover::Bus;
use kassad::transport::ssh_key;
use rustix::termios::{InputModes, LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Ran {
    exit: i32,
    out: String,
}

/// Runs setup with these answers, a line each, in English.
fn talk(folder: &Path, more: &[&str], answers: &[&str]) -> Ran {
    let config = folder.join("kassad.toml");
    let mut child = Command::new(env!("CARGO_BIN_EXE_kassad"))
        .args(["--lang", "en", "setup", "--config", config.to_str().unwrap(), "--root", folder.to_str().unwrap()])
        .args(more)
        .env_remove("CREDENTIALS_DIRECTORY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have stopped asking before all is said.
    let _written = child.stdin.take().unwrap().write_all((answers.join("\n") + "\n").as_bytes()).is_ok();
    let ran = child.wait_with_output().unwrap();
    let out = String::from_utf8(ran.stdout).unwrap() + &String::from_utf8_lossy(&ran.stderr);
    Ran { exit: ran.status.code().unwrap(), out }
}

/// Everything in a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    entries
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

fn issuers(config: &Config) -> Vec<Issuer> {
    Tender::ALL.into_iter().map(|tender| kassad::daemon::rules(config).fiscal.issuer(tender)).collect()
}

/// A shop with everything: the answers of its installer.
const FIRST: &[&str] = &[
    "Дастархан",
    "Asia/Almatyy",
    "Asia/Almaty",
    "25:00",
    "05:00",
    // a terminal of Kaspi
    "yes",
    "1",
    "counter",
    "10.0.0.5",
    "https://10.0.0.5:8080",
    "",
    "no",
    // AiPay
    "yes",
    "",
    "",
    "the key of AiPay",
    "the secret of AiPay",
    "",
    // Poster
    "yes",
    "",
    "",
    "the token of Poster",
    "many",
    "3",
    "",
    // a printer
    "yes",
    "receipt",
    "tcp://10.0.0.7:9100",
    "58mm",
    "",
    "hot",
    "1=hot, 2=Бар",
    "",
    // Webkassa, and Kaspi Kassa at the terminal
    "1",
    "",
    "the key of Webkassa",
    "kassa",
    "the password",
    "SWK00000001",
    "17%",
    "16",
    "+7 700 000 00 00",
    "yes",
    "",
    // no way in, no tablets
    "",
    "",
    "",
];

#[test]
fn a_first_installation_is_written_whole_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let ran = talk(folder.path(), &[], FIRST);
    assert_eq!(ran.exit, 0, "{}", ran.out);
    // Each wrong answer was answered at once with its cure, and asked again.
    for cure in ["write one like \"Asia/Almaty\"", "write it like \"06:00\"", "write tcp://HOST:PORT", "whole number"] {
        assert!(ran.out.contains(cure), "{cure}: {}", ran.out);
    }
    assert!(ran.out.contains("1=hot, 2=bar") && ran.out.contains("for a payer of value added tax"), "{}", ran.out);
    assert!(ran.out.contains("AiPay issues the receipts of its payments itself"), "{}", ran.out);
    assert!(ran.out.contains("good") && ran.out.contains("kassad doctor"), "{}", ran.out);
    let config = Config::read(&folder.path().join("kassad.toml")).unwrap();
    assert_eq!((config.shop.name.as_str(), config.shop.business_day_ends_min), ("Дастархан", 300));
    assert_eq!(config.terminals[0].address, "https://10.0.0.5:8080");
    assert_eq!(config.terminals[0].keys["protected"], Value::Flag(true));
    assert_eq!(config.pos.as_ref().unwrap().device.keys["spot_id"], Value::Number(3));
    assert_eq!(config.printers[0].device.keys["paper"], Value::Text("58mm".to_owned()));
    let stations: Vec<_> = config.stations.iter().map(|one| (one.workshop.as_str(), one.name.as_str())).collect();
    assert_eq!(stations, [("1", "hot"), ("2", "Бар")]);
    assert_eq!(issuers(&config), [Issuer::External, Issuer::External, Issuer::Register, Issuer::Register]);
    let fiscal = config.fiscal.as_ref().unwrap();
    assert_eq!((fiscal.vat, fiscal.issued_by.as_str()), (Vat(Some(16)), "Kaspi"));
    // The register lays its receipts out for the printer that prints them.
    assert_eq!(fiscal.device.as_ref().unwrap().keys["paper"], Value::Text("58mm".to_owned()));
    assert_eq!(config.look_at_secrets(), (vec![], vec![]));
    // Secrets are in files of their own, for nobody else, and nowhere else.
    let all = files(folder.path());
    let secrets = ["aipay.key", "aipay.secret", "poster.token", "webkassa.key", "webkassa.password"];
    assert_eq!(all.len(), 1 + secrets.len(), "{:?}", all.keys());
    for name in secrets {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        let secret = all[name].trim();
        assert!(
            secret.starts_with("the ") && !all["kassad.toml"].contains(secret) && !ran.out.contains(secret),
            "{name}"
        );
    }
}

#[test]
fn until_the_last_question_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let last = FIRST.len() - 1;
    for many in [1, 7, 17, last - 1] {
        let ran = talk(folder.path(), &[], &FIRST[..many]);
        assert!(ran.exit == 1 && ran.out.contains("Nothing was changed"), "{many}: {}", ran.out);
    }
    let ran = talk(folder.path(), &[], &[&FIRST[..last], &["no"]].concat());
    assert!(ran.exit == 0 && ran.out.contains("Nothing was changed"), "{}", ran.out);
    assert!(files(folder.path()).is_empty(), "{:?}", files(folder.path()).keys());
}

/// What Enter takes is what stands there: running it again changes nothing but the comments.
#[test]
fn run_again_enter_keeps_everything_also_what_is_not_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kassad.toml");
    let before = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/kassad.toml")).unwrap()
        + "\n[fiscal]\nkind = \"external\"\nissued_by = \"Kaspi\"\nunfiscal = [\"cash\"]\nnotice_after_s = 20\n";
    std::fs::write(&path, &before).unwrap();
    for name in ["aipay.key", "aipay.secret", "poster.token"] {
        std::fs::write(folder.path().join(name), "present").unwrap();
    }
    let ran = talk(folder.path(), &[], &vec![""; 60]);
    assert_eq!(ran.exit, 0, "{}", ran.out);
    let after = files(folder.path());
    let read = |text: &str| format!("{:#?}", text.parse::<toml::Table>().unwrap());
    assert_eq!(read(&after["kassad.toml"]), read(&before), "{}", after["kassad.toml"]);
    assert_eq!(after["aipay.key"], "present");
    // The one before is kept as it was, comments and all.
    let kept: Vec<_> = after.iter().filter(|(name, _)| name.starts_with("kassad.toml.2")).collect();
    assert_eq!(kept.len(), 1, "{:?}", after.keys());
    assert_eq!(*kept[0].1, before);
    assert!(ran.out.contains(kept[0].0), "{}", ran.out);
}

#[test]
fn another_kind_takes_the_keys_of_the_old_one_away_and_a_new_name_reaches_everybody() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(talk(folder.path(), &[], FIRST).exit, 0);
    // Nobody issues any more; the printer is called otherwise; the terminal is gone.
    let answers = [
        &["", "", "", "no", "no", "", "", "", "", "", "", "", "", "", "", "", ""][..],
        &["", "till", "", "", "", "", ""],
        &["3", "", "", "", ""],
    ]
    .concat();
    let ran = talk(folder.path(), &[], &answers);
    assert_eq!(ran.exit, 0, "{}", ran.out);
    let config = Config::read(&folder.path().join("kassad.toml")).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!((config.terminals.len(), config.printers[0].device.name.as_str()), (0, "till"), "{}", ran.out);
    assert!(config.stations.iter().all(|station| station.printer == "till") && config.stations.len() == 2);
    assert!(config.fiscal.as_ref().unwrap().device.is_none());
    assert_eq!(issuers(&config), [Issuer::Nobody, Issuer::External, Issuer::Nobody, Issuer::Nobody]);
    assert_eq!(config.fiscal.unwrap().issued_by, "AiPay");
}

#[test]
fn what_is_plugged_in_is_offered_by_its_number_and_secrets_go_where_they_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let plugs = Plugs::new(folder.path()).unwrap();
    let node = folder.path().join("node");
    std::fs::write(&node, "").unwrap();
    plugs.plug(Bus::Usb, "lp0", "1-4", TM_T20, &node).unwrap();
    let secrets = tempfile::tempdir().unwrap();
    let answers =
        ["", "", "", "no", "yes", "", "", "a", "b", "no", "no", "yes", "", "1", "", "", "-", "no", "3", "", "", "", ""];
    let ran = talk(folder.path(), &["--secrets", secrets.path().to_str().unwrap()], &answers);
    assert_eq!(ran.exit, 0, "{}", ran.out);
    let config = Config::read(&folder.path().join("kassad.toml")).unwrap();
    assert!(config.printers[0].device.address.starts_with("usb:?vid=04b8&pid=0e03"), "{}", ran.out);
    assert!(config.stations.is_empty());
    assert_eq!(files(secrets.path()).keys().collect::<Vec<_>>(), ["aipay.key", "aipay.secret"]);
    assert_eq!(config.look_at_secrets(), (vec![], vec![]));
}

#[test]
fn a_file_that_is_no_toml_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kassad.toml"), "[shop\n").unwrap();
    let ran = talk(folder.path(), &[], FIRST);
    assert_eq!(ran.exit, 2, "{}", ran.out);
    assert_eq!(files(folder.path())["kassad.toml"], "[shop\n");
}

/// The answers up to the way in.
fn until_the_way_in() -> Vec<&'static str> {
    FIRST[..FIRST.len() - 3].to_vec()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

const BY_HAND: &str = "SHA256:Nd9iuSQJVn0RAbKJZW8ixHa+dqaF0Fsx5q0IGxkbMXo";

#[test]
fn a_way_in_by_ssh_has_a_key_of_its_own_and_tablets_a_pin() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there any more: the server's key comes from the server's own screen.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("ssh://kassad@{free}");
    let more = ["2", "203.0.113.7", &address, "", "nonsense", BY_HAND, "", "yes", "1234", "", ""];
    let ran = talk(folder.path(), &[], &[&until_the_way_in()[..], &more].concat());
    assert_eq!(ran.exit, 0, "{}", ran.out);
    let config = Config::read(&folder.path().join("kassad.toml")).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let TunnelKind::Ssh(ssh) = &config.tunnel.kind else { panic!("{:?}", config.tunnel) };
    assert_eq!((ssh.user.as_str(), ssh.port), ("kassad", free.port()));
    assert_eq!(ssh.forward, Forward::Socket("/run/kassad/shop.sock".to_owned()));
    assert_eq!(ssh.host_keys, [BY_HAND]);
    let key = folder.path().join("tunnel.key");
    assert_eq!((ssh.key_file.as_path(), mode(&key)), (key.as_path(), 0o600));
    let public = ssh_key::public_of(&Secret::new(std::fs::read_to_string(&key).unwrap())).unwrap();
    assert!(ran.out.contains(&format!("\nrestrict,port-forwarding {public}\n")), "{}", ran.out);
    for told in
        ["ACCOUNT@HOST", "could not be seen", "no host key", "https://kassa.example.kz/webhooks/aipay", "tried first"]
    {
        assert!(ran.out.contains(told), "{told}: {}", ran.out);
    }
    // The PIN is the one that was shown, and nowhere else.
    let pin = std::fs::read_to_string(folder.path().join("counter.pin")).unwrap();
    assert_eq!((pin.trim().len(), mode(&folder.path().join("counter.pin"))), (6, 0o600));
    assert!(ran.out.contains(&format!("[{}]", pin.trim())), "{}", ran.out);
    assert_eq!(config.listen.local.to_string(), "0.0.0.0:8780");
    assert!(!files(folder.path())["kassad.toml"].contains(pin.trim()));
    assert_eq!(config.look_at_secrets(), (vec![], vec![]));
    // Again with Enter: the same key, the same PIN, the same file.
    let before = files(folder.path());
    let ran = talk(folder.path(), &[], &vec![""; 60]);
    assert_eq!(ran.exit, 0, "{}", ran.out);
    let after = files(folder.path());
    for name in ["tunnel.key", "counter.pin"] {
        assert_eq!(after[name], before[name], "{name}: {}", ran.out);
    }
    let sections = |text: &str| {
        let table = text.parse::<toml::Table>().unwrap();
        (table["tunnel"].clone(), table["listen"].clone())
    };
    assert_eq!(sections(&after["kassad.toml"]), sections(&before["kassad.toml"]), "{}", ran.out);
}

/// A real OpenSSH server with a key of ours, on a port of its own.
struct Server(std::process::Child);

impl Server {
    /// `None`, and said so, where there is none on this machine.
    fn open(folder: &Path, port: u16, private: &Secret) -> Option<Server> {
        let program = Path::new("/usr/sbin/sshd");
        if !program.exists() {
            let told = "NOT RUN: the key of a real server, because there is no /usr/sbin/sshd (apt-get install openssh-server)\n";
            std::io::stderr().write_all(told.as_bytes()).unwrap();
            assert!(!std::env::var("KASSAD_REQUIRE").is_ok_and(|all| all.contains("sshd")), "{told}");
            return None;
        }
        let _made = std::fs::create_dir_all("/run/sshd").is_ok();
        let key = folder.join("host_key");
        write_private(&key, private.expose()).unwrap();
        let config = folder.join("sshd_config");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none\nUsePAM no\nStrictModes no\n",
            key.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new(program)
            .args(["-D", "-e", "-f", config.to_str().unwrap()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut lines = std::io::BufRead::lines(said).map_while(Result::ok);
        let heard = lines.find(|line| line.contains("Server listening"));
        assert!(heard.is_some(), "the server does not start");
        // It goes on talking: somebody must listen, or it stands still.
        std::thread::spawn(move || lines.count());
        Some(Server(child))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _killed = self.0.kill().is_ok();
        let _gone = self.0.wait().is_ok();
    }
}

#[test]
fn the_servers_key_is_believed_by_a_person_only_and_another_one_is_said_loudly() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (key, other) = (ssh_key::make(&Ids::machine(), "").unwrap(), ssh_key::make(&Ids::machine(), "").unwrap());
    let address = format!("ssh://kassad@127.0.0.1:{port}");
    let keys = |folder: &Path| match Config::read(&folder.join("kassad.toml")).unwrap().tunnel.kind {
        TunnelKind::Ssh(ssh) => ssh.host_keys,
        TunnelKind::None | TunnelKind::Command(_) => panic!("no ssh"),
    };
    let Some(server) = Server::open(place.path(), port, &key.private) else { return };
    // Enter is no belief, and neither is a slip of the finger; the word is.
    let answers = ["2", &address, "127.0.0.1:8790", "y", BY_HAND, "", "", ""];
    let ran = talk(folder.path(), &[], &[&until_the_way_in()[..], &answers].concat());
    assert_eq!(ran.exit, 0, "{}", ran.out);
    let shown = ssh_key::fingerprint(&key.public);
    assert!(
        ran.out.contains(&format!("showed this key: {shown}")) && ran.out.contains("is not believed"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("restrict,port-forwarding,permitlisten=\"127.0.0.1:8790\" ssh-ed25519 "), "{}", ran.out);
    assert_eq!(keys(folder.path()), [BY_HAND]);
    std::fs::remove_file(folder.path().join("kassad.toml")).unwrap();
    let answers = ["2", &address, "", "yes", "", "", ""];
    let ran = talk(folder.path(), &[], &[&until_the_way_in()[..], &answers].concat());
    assert_eq!(ran.exit, 0, "{}", ran.out);
    assert_eq!(keys(folder.path()), [key.public.trim()]);
    // The same again is quiet.
    let ran = talk(folder.path(), &[], &vec![""; 60]);
    assert!(ran.exit == 0 && ran.out.contains(&format!("showed the pinned key: {shown}")), "{}", ran.out);
    drop(server);
    // Another server at the same place.
    let _server = Server::open(place.path(), port, &other.private).unwrap();
    let ran = talk(folder.path(), &[], &vec![""; 60]);
    assert_eq!(ran.exit, 0, "{}", ran.out);
    let told = format!("ANOTHER key: {}", ssh_key::fingerprint(&other.public));
    assert!(ran.out.contains("ATTENTION") && ran.out.contains(&told), "{}", ran.out);
    assert_eq!(keys(folder.path()), [key.public.trim()], "what is pinned stays");
}

#[test]
fn a_tunnel_program_is_chosen_from_ready_ones_and_what_somebody_wrote_stays() {
    let folder = tempfile::tempdir().unwrap();
    let answers = ["3", "3", "https://kassa.example.kz", "", ""];
    let ran = talk(folder.path(), &[], &[&until_the_way_in()[..], &answers].concat());
    assert!(ran.exit == 0 && ran.out.contains("config/examples/tunnel/frpc.toml"), "{}", ran.out);
    let tunnel = Config::read(&folder.path().join("kassad.toml")).unwrap().tunnel;
    let TunnelKind::Command(command) = tunnel.kind else { panic!("{tunnel:?}") };
    assert_eq!(command.command, ["frpc", "-c", "/etc/kassad/frpc.toml"]);
    // The same kind again keeps what somebody wrote.
    let path = folder.path().join("kassad.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("/etc/kassad/frpc.toml", "/etc/frpc.toml");
    std::fs::write(&path, text).unwrap();
    assert_eq!(talk(folder.path(), &[], &vec![""; 60]).exit, 0);
    assert!(std::fs::read_to_string(&path).unwrap().contains("/etc/frpc.toml"));
}

/// A person at a terminal, who types when asked.
struct Person {
    cable: Cable,
    seen: String,
}

impl Person {
    async fn sees(&mut self, text: &str) {
        let reading = async {
            while !self.seen.contains(text) {
                let mut bytes = [0; 512];
                let count = self.cable.device.read(&mut bytes).await.unwrap();
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), reading).await;
        assert!(in_time.is_ok(), "no {text:?} in {}", self.seen);
    }

    async fn types(&mut self, prompt: &str, text: &str) {
        self.sees(prompt).await;
        self.seen.clear();
        AsyncWriteExt::write_all(&mut self.cable.device, text.as_bytes()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_terminal_a_secret_is_not_shown_and_ctrl_c_leaves_the_terminal_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let cable = Cable::new().unwrap();
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(&cable.node).unwrap();
    let end = open();
    // As a login shell leaves it.
    let mut usual = tcgetattr(&end).unwrap();
    usual.local_modes |= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    usual.input_modes |= InputModes::ICRNL;
    tcsetattr(&end, OptionalActions::Now, &usual).unwrap();
    let config = folder.path().join("kassad.toml");
    let mut child = Command::new(env!("CARGO_BIN_EXE_kassad"))
        .args([
            "--lang",
            "en",
            "setup",
            "--config",
            config.to_str().unwrap(),
            "--root",
            folder.path().to_str().unwrap(),
        ])
        .stdin(open())
        .stdout(open())
        .stderr(open())
        .spawn()
        .unwrap();
    let mut person = Person { cable, seen: String::new() };
    person.types("on the page and on paper", "Дастархан\r").await;
    // What is typed is shown, but for secrets.
    person.sees("Дастархан").await;
    for prompt in ["Time zone", "business day ends"] {
        person.types(prompt, "\r").await;
    }
    person.types("terminal at the counter", "no\r").await;
    person.types("invoices to phones", "\r").await;
    person.types("A short name", "\r").await;
    person.types("Address", "\r").await;
    person.types("API key", "wrong\u{15}hide-mf\u{7f}e\r").await;
    person.sees("Secret of the webhooks").await;
    assert!(!["wrong", "hide", "-m"].iter().any(|part| person.seen.contains(part)), "{}", person.seen);
    person.types("Secret of the webhooks", "half a secret\u{3}").await;
    person.sees("Nothing was changed").await;
    assert!(!person.seen.contains("half"), "{}", person.seen);
    let ended = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(1));
    let after = tcgetattr(&end).unwrap().local_modes;
    assert!(after.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG), "{after:?}");
    assert!(files(folder.path()).is_empty());
}
