//! The fuzz targets on stable: the kept corpus (`tests/fuzz/corpus`), seeds taken from the recorded exchanges, dialogues and configurations,
//! and a bounded number of mutations of both, the same ones in every run. `cargo fuzz run --fuzz-dir tests/fuzz TARGET` goes further;
//! `KASSAD_SEEDS=FOLDER` writes the seeds where it can begin with them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bodies::{SCHEMES, TARGETS, Target};
use kassad::drivers::{Build, KINDS};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

#[path = "fuzz/bodies.rs"]
mod bodies;

/// How many targets there are, and how many inputs each has at least before it is changed: an empty folder proves nothing.
const TARGETS_COUNT: usize = 10;
const INPUTS_MIN: usize = 10;

/// Changed inputs of each target in one run.
const CHANGED: u32 = 3000;

/// A configuration is read whole each time, drivers and all.
const CHANGED_CONFIG: u32 = 400;

/// The longest input that is made, in bytes.
const BYTES_MAX: usize = 8 * 1024;

/// What parsers look for, to be put in where chance would never find it.
const WORDS: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "\"",
    "-1",
    "1e308",
    "0.1",
    "9223372036854775808",
    "18446744073709551616",
    "12400.50",
    "\u{0}",
    "\\u0000",
    "\\ud800",
    "é",
    "\u{2212}",
    "\u{feff}",
    "paid",
    "invoice.paid",
    "invoice.",
    "77011234567",
    "\"amount\":",
    "\"invoice_id\":",
    "\"status\":",
    "\"external_id\":",
    "\"response\":",
    "\"error\":",
    "\"Data\":",
    "\"Errors\":",
    "\"processId\":",
    "\"statusCode\":",
    "success",
    "unknown",
    "[[printer]]\n",
    "[tunnel]\n",
    "\n",
    "=",
    "\u{10}\u{3}",
    "\u{10}\u{2}",
    "\u{10}\u{10}",
    "\u{15}",
    "\u{6}",
    "serial:?vid=04b8&pid=0e03&",
    "https://",
    "tcp://[::1]:",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
}

fn marked(text: &str, mark: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned()).collect()
}

/// What the partners really said, in the form of each target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "aipay" | "poster" | "webkassa" => answers(&[target]),
        "smart_pos" => {
            let both = |answer: Vec<u8>| [0, 3].map(|which| [&[which], answer.as_slice()].concat());
            answers(&["terminal"]).into_iter().flat_map(both).collect()
        }
        "webhook" => {
            let bodies = files(&root().join("tests/exchanges")).into_iter().filter(|path| is_of(path, "aipay"));
            let bodies = bodies.map(|path| marked(&std::fs::read_to_string(path).unwrap(), "<")[1..].join("\n"));
            bodies.flat_map(|body| [0, 1].map(|which| [&[which], body.as_bytes()].concat())).collect()
        }
        "zvt" => files(&root().join("tests/dialogues")).iter().flat_map(|path| dialogue(path)).collect(),
        "printer_status" => printers(),
        "config" => {
            let folders = ["tests/config/good", "tests/config/bad", "config", "config/examples/tunnel"];
            let all = folders.iter().flat_map(|folder| files(&root().join(folder)));
            all.filter(|path| path.extension().is_some_and(|end| end == "toml"))
                .map(|path| std::fs::read(path).unwrap())
                .collect()
        }
        "invoice" => INVOICES.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "address" => ADDRESSES.iter().map(|text| text.as_bytes().to_vec()).collect(),
        unknown => panic!("no seeds for {unknown}"),
    }
}

fn is_of(path: &Path, family: &str) -> bool {
    path.file_name().unwrap().to_str().unwrap().starts_with(family)
}

/// The recorded answers of a partner: two bytes of status, then the body.
fn answers(families: &[&str]) -> Vec<Vec<u8>> {
    let all = files(&root().join("tests/exchanges")).into_iter();
    let ours = all.filter(|path| families.iter().any(|family| is_of(path, family)));
    let answer = |path: PathBuf| {
        let lines = marked(&std::fs::read_to_string(path).unwrap(), "<");
        let status: u16 = lines[0].trim().parse().unwrap();
        [&(status - 100).to_be_bytes()[..], lines[1..].join("\n").as_bytes()].concat()
    };
    ours.map(answer).collect()
}

/// What a terminal sent in a recorded dialogue, on a serial line and bare.
fn dialogue(path: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(path).unwrap();
    let bytes = |line: &String| {
        let hex = line.split(';').next().unwrap_or_default();
        hex.split_whitespace().filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect::<Vec<u8>>()
    };
    let frames: Vec<Vec<u8>> = marked(&text, "<").iter().map(bytes).collect();
    let longest = frames.iter().max_by_key(|frame| frame.len()).cloned().unwrap_or_default();
    let bare = longest.get(2..longest.len().saturating_sub(4)).unwrap_or_default().to_vec();
    vec![[&[0], frames.concat().as_slice()].concat(), [&[1], bare.as_slice()].concat()]
}

/// Answers to each question, an unasked status, blocks with and without their end, and flow control.
fn printers() -> Vec<Vec<u8>> {
    let plain: [&[u8]; 12] = [
        &[0x12],
        &[0x16, 0x12, 0x32],
        &[0x7E],
        &[0x00, 0x0C, 0x03],
        &[0x10, 0x00, 0x00, 0x00],
        &[0x14, 0x00, 0x0C, 0x0F],
        b"7\"abcd\0",
        b"7%\0",
        b"_TM-T20III\0",
        b"=\x01\x02\0",
        &[0x13, 0x11, 0x12],
        &[0x10, 0x12, 0x37, 0xFF, 0xFF],
    ];
    let long = [&b"7"[..], &[b'x'; 200]].concat();
    plain.iter().map(|bytes| bytes.to_vec()).chain([long]).collect()
}

const INVOICES: &[&str] = &[
    r#"{"phone":"77011234567","amount":12400,"description":"Заказ 1950","external_id":"1950"}"#,
    r#"{"phone":"+7 (701) 123-45-67","amount":"12400.50","external_id":"a"}"#,
    r#"{"phone":"87011234567","amount":1,"external_id":"a","order_id":1950}"#,
    r#"{"phone":"77011234567","amount":1.5,"external_id":"a"}"#,
    r#"{"phone":"77011234567","amount":-1,"external_id":""}"#,
    r#"{"phone":"77011234567","amount":9223372036854775807,"external_id":"a"}"#,
    r#"{"phone":"1","amount":null,"description":null,"external_id":null}"#,
    r#"{"phone":"77011234567","amount":900,"external_id":"a","lines":[{"name":"Плов","quantity":2,"sum":900}]}"#,
    r#"{"phone":"77011234567","amount":900,"external_id":"a","lines":[{"name":"Шай","quantity":"0.35","sum":"900.00","unit":166,"vat":16,"workshop":1,"modifiers":["без сахара"],"comment":"x"}]}"#,
    r#"{"lines":[{"name":"","quantity":0}]}"#,
    r#"{"lines":[{"name":"a","quantity":99999999999999999999}]}"#,
    r#"{"lines":[{"name":"a","quantity":0.0000000001,"sum":"-1"}]}"#,
    r#"{"amount":12,"amount":13,"total":"1000000000001"}"#,
    "[]",
];

const ADDRESSES: &[&str] = &[
    "tcp://10.0.0.7:9100",
    "tcp://[fe80::1]:9100",
    "serial:/dev/ttyUSB0?baud=38400&parity=even&stop=2&flow=rtscts",
    "serial:?vid=1a86&pid=7523&serial=A50285BI&baud=9600",
    "serial:by-path/pci-0000:00:14.0-usb-0:2:1.0-port0",
    "usb:by-id/usb-EPSON_TM-T20III",
    "usb:?vid=04b8&pid=0e03&root=/host",
    "usb:/dev/usb/lp0",
    "https://api.aipay.kz/v1/",
    "http://127.0.0.1:8811",
    "12400.50\n-0.05\n0\n10000000000.00",
    "0.35\n2.000\n99999999999999999",
    "+7 (701) 123-45-67\n87011234567\n77011234567",
];

/// A small mutator, the same in every run: SplitMix64 chooses.
struct Chance(u64);

impl Chance {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((word ^ (word >> 31)) % u64::try_from(below.max(1)).unwrap()).unwrap()
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = self.below(length + 1);
        from..from + self.below((length - from).min(64) + 1)
    }

    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let place = self.below(input.len() + 1);
        match self.below(8) {
            0 => {
                let bit = self.below(8);
                input.get_mut(place).into_iter().for_each(|byte| *byte ^= 1 << bit);
            }
            1 => {
                let value = [0, 1, 0x7F, 0x80, 0xFF, b'"', b'{', b'9'][self.below(8)];
                input.get_mut(place).into_iter().for_each(|byte| *byte = value);
            }
            2 => drop(input.drain(self.range(input.len()))),
            3 => {
                let piece = input[self.range(input.len())].to_vec();
                input.splice(place..place, piece);
            }
            4 => {
                let word = WORDS[self.below(WORDS.len())].bytes();
                input.splice(place..place, word);
            }
            5 => {
                let word = WORDS[self.below(WORDS.len())].bytes();
                let end = (place + word.len()).min(input.len());
                input.splice(place..end, word);
            }
            6 => {
                let piece = other[self.range(other.len())].to_vec();
                input.splice(place..place, piece);
            }
            _ => input.truncate(place),
        }
        input.truncate(BYTES_MAX);
    }
}

/// Does what libFuzzer would, and names the input that broke a law.
fn run(name: &str, body: fn(&[u8]), input: &[u8]) {
    let ran = catch_unwind(AssertUnwindSafe(|| body(input)));
    let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(ran.is_ok(), "{name}: {:?}\nin hex {hex}", String::from_utf8_lossy(input));
}

fn replay((name, body): &Target) {
    let kept = files(&root().join("tests/fuzz/corpus").join(name));
    let mut inputs: Vec<Vec<u8>> = kept.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!inputs.is_empty(), "no corpus of {name}");
    let seeds = seeds(name);
    if let Some(folder) = std::env::var_os("KASSAD_SEEDS") {
        let folder = PathBuf::from(folder).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:03}")), seed).unwrap();
        }
    }
    inputs.extend(seeds);
    assert!(inputs.len() >= INPUTS_MIN, "{name}: {} inputs", inputs.len());
    inputs.iter().for_each(|input| run(name, *body, input));
    let mut chance = Chance(0x6B61_7373_6164);
    let count = if *name == "config" { CHANGED_CONFIG } else { CHANGED };
    let mut different = BTreeSet::new();
    for _ in 0..count {
        let mut input = inputs[chance.below(inputs.len())].clone();
        let other = inputs[chance.below(inputs.len())].clone();
        for _ in 0..=chance.below(4) {
            chance.change(&mut input, &other);
        }
        run(name, *body, &input);
        different.insert(input);
    }
    assert!(different.len() * 2 > usize::try_from(count).unwrap(), "{name}: {} different", different.len());
}

macro_rules! targets {
    ($($name:ident),+ $(,)?) => {$(
        #[test]
        fn $name() {
            replay(TARGETS.iter().find(|(name, _)| *name == stringify!($name)).unwrap());
        }
    )+

        const REPLAYED: &[&str] = &[$(stringify!($name)),+];
    };
}

targets!(address, aipay, config, invoice, poster, printer_status, smart_pos, webhook, webkassa, zvt);

/// A target without a folder, a file or a test is none.
#[test]
fn every_target_is_replayed_and_every_cloud_has_its_scheme() {
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!((names.len(), &names[..]), (TARGETS_COUNT, REPLAYED));
    let ways: Vec<String> = files(&root().join("tests/fuzz/targets"))
        .iter()
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(ways, names);
    let manifest = std::fs::read_to_string(root().join("tests/fuzz/Cargo.toml")).unwrap();
    assert!(
        names.iter().all(|name| manifest.contains(&format!("\nname = \"{name}\"\npath = \"targets/{name}.rs\"\n")))
    );
    let folders = std::fs::read_dir(root().join("tests/fuzz/corpus")).unwrap().count();
    assert_eq!(folders, names.len());
    let clouds = KINDS.iter().filter(|kind| matches!(kind.build, Build::Cloud(..))).map(|kind| kind.name);
    assert_eq!(clouds.collect::<Vec<_>>(), SCHEMES.iter().map(|(name, _, _)| *name).collect::<Vec<_>>());
}
