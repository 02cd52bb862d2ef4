//! Good and bad configurations. A bad file opens with one comment line a fault: its line, its key and how its cure begins; all of
//! them are expected, in this order, and no other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kassad::config::{Config, Dialect, Role};
use kassad::domain::fiscal::{PayKind, Vat};
use kassad::domain::order::Tender;
use kassad::drivers::{BadSetup, Build, CloudAbilities, Key, Kind, Takes, Value};
use kassad::flows::{Issuer, ServiceCharge};
use kassad::host::clock::Clock;
use kassad::host::secret::write_private;
use std::path::{Path, PathBuf};

const fn key(name: &'static str, takes: Takes, required: bool, help: &'static str) -> Key {
    Key { name, takes, required, help }
}

fn refuse<T>() -> Result<T, BadSetup> {
    Err(BadSetup { key: "kind", problem: "a kind of the tests builds nothing".to_owned() })
}

/// A registry of the tests' own: these files are about the reader, not about the drivers of this build.
const KINDS: &[Kind] = &[
    Kind {
        name: "kaspi_smart_pos",
        title: "terminal",
        keys: &[key("protected", Takes::Flag, false, "tokens on")],
        build: Build::Terminal(|_| refuse()),
    },
    Kind {
        name: "aipay",
        title: "AiPay: a cloud",
        keys: &[
            key("api_key_file", Takes::SecretFile, true, "the shop's key"),
            key("webhook_secret_files", Takes::SecretFiles, true, "what it signs with"),
        ],
        build: Build::Cloud(
            |_| refuse(),
            &CloudAbilities {
                tenders: &[Tender::KaspiInvoice],
                life: std::time::Duration::from_secs(900),
                find: false,
                issues_receipts: true,
            },
        ),
    },
    Kind {
        name: "poster",
        title: "POS",
        keys: &[
            key("token_file", Takes::SecretFile, true, "the token"),
            key("spot_id", Takes::Number, true, "the place"),
            key("spot_tablet_id", Takes::Number, true, "the till"),
        ],
        build: Build::Pos(|_| refuse()),
    },
    kassad::drivers::fiscal::webkassa::KIND,
    kassad::drivers::terminal::zvt::KIND,
    // What needs no secret is built once by the reader: these are the true ones.
    kassad::drivers::printer::escpos::KIND,
    kassad::drivers::display::cd5220::KIND,
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn files(name: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder(name)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn good_files_are_read() {
    let files = files("good");
    assert_eq!(files.len(), 6);
    for (name, text) in files {
        if let Err(faults) = Config::parse_with(&text, Path::new("/etc/kassad"), KINDS) {
            panic!("{name}: {faults:#?}");
        }
    }
}

#[test]
fn bad_files_tell_every_fault_with_line_key_and_cure() {
    let files = files("bad");
    assert_eq!(files.len(), 13);
    for (name, text) in files {
        let faults = Config::parse_with(&text, Path::new("/etc/kassad"), KINDS).expect_err(&name);
        let told: Vec<String> =
            faults.iter().map(|fault| format!("{} {} {}", fault.line, fault.key, fault.cure)).collect();
        let expected: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("# ")).collect();
        assert_eq!(told.len(), expected.len(), "{name}: {told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{name}:\n  told     {told}\n  expected {expected}");
        }
    }
}

#[test]
fn the_example_is_good_and_means_what_it_says() {
    let text = include_str!("../config/kassad.toml");
    let config =
        Config::parse_with(text, Path::new("/etc/kassad"), KINDS).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(config.shop.name, "Дастархан");
    assert_eq!(config.shop.timezone.iana_name(), Some("Asia/Almaty"));
    assert_eq!(config.shop.business_day_ends_min, 360);
    assert_eq!(config.listen.local.to_string(), "127.0.0.1:8780");
    assert_eq!(config.terminals[0].keys["protected"], Value::Flag(true));
    assert_eq!(config.clouds[0].secret_files["api_key_file"], [Path::new("/etc/kassad/aipay.key")]);
    assert_eq!(config.bots[0].dialect, Dialect::A);
    assert_eq!(config.pos.as_ref().unwrap().device.keys["spot_id"], Value::Number(1));
    assert_eq!(config.printers[0].roles, [Role::Receipt]);
    assert_eq!(config.stations[0].workshop, "1");
    for line in text.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')) {
        let repeated = text.matches(line.split(" = ").next().unwrap()).count() > 1;
        assert!(line.contains('#') || repeated, "without a comment: {line}");
    }
}

#[test]
fn the_example_as_given_is_read_by_this_build() {
    let config = Config::parse(include_str!("../config/kassad.toml"), Path::new("/etc/kassad"));
    assert!(config.is_ok(), "{:#?}", config.err());
}

/// The display and the cash register of the example stand behind signs of a comment: without them they must be right as well.
#[test]
fn the_rest_of_the_example_is_right_once_it_is_uncommented() {
    let text = include_str!("../config/kassad.toml");
    let lines = text.lines().map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')).unwrap_or(line));
    let text = lines.collect::<Vec<_>>().join("\n");
    let config =
        Config::parse_with(&text, Path::new("/etc/kassad"), KINDS).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(issuers(&config), [Issuer::External, Issuer::External, Issuer::Register, Issuer::Register]);
    let fiscal = config.fiscal.expect("a section");
    assert_eq!(fiscal.device.map(|device| device.name).as_deref(), Some("webkassa"));
    assert_eq!((fiscal.vat, fiscal.is_external_told), (Vat(Some(16)), true));
    assert_eq!(config.displays.len(), 1);
    assert_eq!(config.displays[0].terminal.as_deref(), Some("counter"));
    assert_eq!(config.displays[0].device.keys["columns"], Value::Number(20));
}

/// What stands behind "# " for keys that exclude each other is not uncommented above: the sections of the tunnels are files of their own.
#[test]
fn every_example_of_a_tunnel_is_a_section_as_it_stands() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/tunnel");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    paths.sort();
    let names: Vec<&str> = paths.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["chisel", "cloudflared", "frpc", "ngrok", "none", "rathole", "ssh"]);
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with("# ") && text.lines().all(|line| line.chars().count() <= 280), "{}", path.display());
        let config = Config::parse(&text, Path::new("/etc/kassad")).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let tunnel = config.tunnel;
        let expected = match path.file_stem().unwrap().to_str().unwrap() {
            "none" => "none",
            "ssh" => "ssh",
            _ => "command",
        };
        assert_eq!(tunnel.word(), expected, "{}", path.display());
        assert_eq!(tunnel.public_url.is_some(), expected != "none", "{}", path.display());
        // The files that an example speaks of are there.
        for word in text
            .split('`')
            .filter(|word| word.ends_with(".snippet") || ["Caddyfile", "nginx.conf", "ngrok.yml"].contains(word))
        {
            assert!(folder.join(word).exists(), "{}: {word}", path.display());
        }
        // The program that setup offers is the program of the example.
        if let kassad::config::tunnel::TunnelKind::Command(tunnel) = tunnel.kind {
            assert!(tunnel.command.iter().any(|word| word.contains(path.file_stem().unwrap().to_str().unwrap())));
        }
    }
}

fn good(name: &str) -> Config {
    let text = std::fs::read_to_string(folder("good").join(name)).unwrap();
    Config::parse_with(&text, Path::new("/etc/kassad"), KINDS).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn issuers(config: &Config) -> Vec<Issuer> {
    Tender::ALL.into_iter().map(|tender| kassad::daemon::rules(config).fiscal.issuer(tender)).collect()
}

/// Terminal, phone invoice, QR and cash, in the order of `Tender::ALL`.
#[test]
fn who_issues_what_is_told_by_tender() {
    use Issuer::{External, Nobody, Register};
    let config = good("webkassa.toml");
    assert_eq!(issuers(&config), [Register, External, Register, Nobody]);
    let rules = kassad::daemon::rules(&config).fiscal;
    assert_eq!((rules.register.as_deref(), rules.issued_by.as_str()), (Some("cashbox"), "AiPay"));
    assert_eq!((rules.unit, rules.weight_unit, rules.service_charge), (5114, 163, ServiceCharge::Surcharge));
    assert_eq!((rules.notice_after.as_secs(), rules.part_after.as_secs(), rules.auto_z), (60, 60, false));
    assert_eq!(rules.kind(Tender::KaspiTerminal, "qr"), PayKind::Card);
    assert_eq!(rules.kind(Tender::KaspiInvoice, "invoice"), PayKind::Mobile);
    // The first of January begins with the shop's midnight: five hours before UTC's.
    assert_eq!(rules.vat, Vat(Some(16)));
    assert_eq!(rules.vat_next, Some((kassad::domain::time::Wall(1_798_743_600_000), Vat(None))));
    assert!(!config.fiscal.unwrap().is_external_told);
    let config = good("kaspi_issues.toml");
    assert_eq!(issuers(&config), [External, External, External, Nobody]);
    assert_eq!(kassad::daemon::rules(&config).fiscal.issued_by, "Kaspi");
    let config = good("not_fiscal.toml");
    assert_eq!(issuers(&config), [Nobody, External, Nobody, Nobody]);
    // Written out, the list is the whole list: an empty one says that AiPay issues nothing.
    let text = std::fs::read_to_string(folder("good").join("not_fiscal.toml")).unwrap() + "external = []\n";
    let config = Config::parse_with(&text, Path::new("/etc/kassad"), KINDS).unwrap();
    assert_eq!(issuers(&config), [Nobody; 4]);
    assert!(config.fiscal.unwrap().is_external_told);
    // Nobody was asked: nothing is claimed.
    let config = good("empty.toml");
    assert!(config.fiscal.is_none());
    assert_eq!(issuers(&config), [Nobody; 4]);
}

/// The word of the sandbox must not pass for a real register's key, and a register on this machine is no real one.
#[test]
fn f29_the_register_counts_as_a_partner() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["webkassa.key", "webkassa.password"] {
        write_private(&folder.path().join(file), "sandbox\n").unwrap();
    }
    let text = |address: &str| {
        format!(
            "[fiscal]\nkind = \"webkassa\"\naddress = \"{address}\"\napi_key_file = \"webkassa.key\"\nlogin = \"a\"\n\
             password_file = \"webkassa.password\"\ncashbox = \"SWK00000007\"\nvat = \"none\"\n"
        )
    };
    let real = Config::parse_with(&text("https://kkm.webkassa.kz"), folder.path(), KINDS).unwrap();
    assert_eq!(real.look_at_secrets().0.len(), 2);
    let near = Config::parse_with(&text("http://127.0.0.1:8815"), folder.path(), KINDS).unwrap();
    assert_eq!(near.look_at_secrets(), (vec![], vec![]));
}

#[test]
fn every_credential_of_the_example_has_its_line_in_the_unit() {
    let unit = include_str!("../systemd/kassad.service");
    let names: Vec<&str> = include_str!("../config/kassad.toml")
        .lines()
        .filter(|line| !line.starts_with('#') && line.split(" = ").next().is_some_and(|key| key.contains("_file")))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert_eq!(names.len(), 5);
    let names: Vec<&str> = names.into_iter().chain(["tunnel.key", "counter.pin"]).collect();
    for name in names {
        assert!(unit.contains(&format!("\nLoadCredential={name}:/etc/kassad/{name}\n")), "{name}");
        assert!(unit.contains(&format!("\nSetCredential={name}:")), "{name}");
    }
}

#[test]
fn a_missing_file_is_a_fault_too() {
    let faults = Config::read(Path::new("/nonexistent/kassad.toml")).expect_err("there is no such file");
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].line, 0);
}

struct NoVault;

impl kassad::drivers::Vault for NoVault {
    fn load<'a>(&'a self, _name: &'a str) -> futures_util::future::BoxFuture<'a, Option<String>> {
        Box::pin(std::future::ready(None))
    }

    fn store<'a>(
        &'a self,
        _name: &'a str,
        _text: String,
    ) -> futures_util::future::BoxFuture<'a, Result<(), kassad::domain::outcome::Reason>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The installed unit falls back to the sandbox's word: with a real partner behind it that word must open nothing.
#[test]
fn f29_the_sandbox_word_is_refused_with_a_real_partner() {
    let folder = tempfile::tempdir().unwrap();
    write_private(&folder.path().join("key"), "sandbox\n").unwrap();
    let text = |address: &str| {
        format!(
            "[shop]\nname = \"x\"\n[[cloud]]\nname = \"aipay\"\nkind = \"aipay\"\naddress = \"{address}\"\n\
             api_key_file = \"key\"\nwebhook_secret_files = [\"key\"]\n\
             [[bot]]\nname = \"b\"\napi_key_file = \"key\"\ncloud = \"aipay\"\n"
        )
    };
    let real = kassad::config::Config::parse(&text("https://api.aipay.kz/v1"), folder.path()).unwrap();
    let setup = |config: &kassad::config::Config| {
        config.setup(&config.clouds[0], std::sync::Arc::new(NoVault), "test", 0, &Clock::machine()).map(drop)
    };
    assert!(setup(&real).unwrap_err().problem.contains("sandbox"));
    assert!(real.bot_secrets(&real.bots[0]).is_err());
    let near = kassad::config::Config::parse(&text("http://127.0.0.1:8812/v1"), folder.path()).unwrap();
    setup(&near).unwrap();
    near.bot_secrets(&near.bots[0]).unwrap();
    let lookalike = kassad::config::Config::parse(&text("http://127.0.0.1.evil.kz/v1"), folder.path()).unwrap();
    assert!(setup(&lookalike).is_err());
}

/// A certificate of an authority is no secret: it lies beside the configuration, wherever the secrets are.
#[test]
fn a_file_that_is_no_secret_is_looked_for_beside_the_configuration() {
    let text = "[[terminal]]\nname = \"a\"\nkind = \"kaspi_smart_pos\"\naddress = \"https://10.0.0.5:8080\"\nca_file = \"shop.pem\"\n";
    let config = Config::parse(text, Path::new("/etc/kassad")).expect("a good configuration");
    let file = kassad::drivers::Value::Text("/etc/kassad/shop.pem".to_owned());
    assert_eq!(config.terminals[0].keys.get("ca_file"), Some(&file));
    let faults = Config::parse(&text.replace("\"shop.pem\"", "7"), Path::new("/etc/kassad")).expect_err("a number");
    assert_eq!(faults.len(), 1);
    assert!(faults[0].key.ends_with("ca_file"), "{faults:?}");
}
