//! The configuration while it is being talked about: what was there is kept, whether or not it is asked about, and each answer is judged
//! by the reader of the configuration itself, so that setup and `kassad check` never disagree.

use crate::config::{Config, Fault};
use crate::i18n::{Lang, is_known, sentence};
use std::fmt::Write;
use std::path::Path;
use toml::{Table, Value};

/// The sections in the order in which they are written; what stands in none of them follows.
const ORDER: [&str; 12] = [
    "shop", "listen", "ledger", "terminal", "cloud", "bot", "pos", "fiscal", "printer", "station", "display", "tunnel",
];

/// Who names whom: family, and the sections with the key that carries the name.
const NAMED: [(&str, &[(&str, &str)]); 3] = [
    ("printer", &[("station", "printer"), ("printer", "backup")]),
    ("cloud", &[("bot", "cloud"), ("display", "terminal")]),
    ("terminal", &[("display", "terminal")]),
];

/// A section: the only one of its name, or one of several, counted from 0.
#[derive(Clone, Copy)]
pub(super) struct Place(pub(super) &'static str, pub(super) Option<usize>);

/// The configuration in the making.
#[derive(Clone, Default)]
pub(super) struct Draft(Table);

impl Draft {
    pub(super) fn read(text: &str) -> Result<Draft, String> {
        text.parse().map(Draft).map_err(|cause: toml::de::Error| cause.to_string())
    }

    fn entry(&self, place: Place) -> Option<&Table> {
        let section = self.0.get(place.0)?;
        match place.1 {
            None => section.as_table(),
            Some(at) => section.as_array()?.get(at)?.as_table(),
        }
    }

    /// The section to write into; it is made where it is missing.
    fn entry_mut(&mut self, place: Place) -> Option<&mut Table> {
        match place.1 {
            None => self.0.entry(place.0).or_insert_with(|| Value::Table(Table::new())).as_table_mut(),
            Some(at) => {
                let all = self.0.entry(place.0).or_insert_with(|| Value::Array(Vec::new())).as_array_mut()?;
                if all.len() == at {
                    all.push(Value::Table(Table::new()));
                }
                all.get_mut(at)?.as_table_mut()
            }
        }
    }

    pub(super) fn get(&self, place: Place, key: &str) -> Option<&Value> {
        self.entry(place)?.get(key)
    }

    pub(super) fn text(&self, place: Place, key: &str) -> Option<&str> {
        self.get(place, key)?.as_str()
    }

    pub(super) fn texts(&self, place: Place, key: &str) -> Vec<String> {
        let items = self.get(place, key).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    pub(super) fn set(&mut self, place: Place, key: &str, value: Value) {
        if let Some(entry) = self.entry_mut(place) {
            entry.insert(key.to_owned(), value);
        }
    }

    pub(super) fn unset(&mut self, place: Place, key: &str) {
        if let Some(entry) = self.entry_mut(place) {
            entry.remove(key);
        }
    }

    /// The same, where the section is there at all.
    pub(super) fn unset_known(&mut self, place: Place, key: &str) {
        if self.entry(place).is_some() {
            self.unset(place, key);
        }
    }

    /// How many sections of a family there are.
    pub(super) fn count(&self, family: &str) -> usize {
        self.0.get(family).and_then(Value::as_array).map_or(0, Vec::len)
    }

    pub(super) fn remove(&mut self, place: Place) {
        match place.1 {
            None => drop(self.0.remove(place.0)),
            Some(at) => {
                if let Some(all) = self.0.get_mut(place.0).and_then(Value::as_array_mut).filter(|all| at < all.len()) {
                    all.remove(at);
                }
                if self.count(place.0) == 0 {
                    self.0.remove(place.0);
                }
            }
        }
    }

    /// Gives everything that names a device its new name.
    pub(super) fn rename(&mut self, family: &str, from: &str, to: &str) {
        for (section, key) in NAMED.iter().filter(|(named, _)| *named == family).flat_map(|(_, all)| all.iter()) {
            for value in self.all_mut(section).filter_map(|table| table.get_mut(*key)) {
                if value.as_str() == Some(from) {
                    *value = Value::String(to.to_owned());
                }
            }
        }
    }

    fn all_mut(&mut self, family: &str) -> impl Iterator<Item = &mut Table> {
        let all = self.0.get_mut(family).and_then(Value::as_array_mut);
        all.into_iter().flatten().filter_map(Value::as_table_mut)
    }

    /// The stations of a printer as people write them: `1=hot, 2=bar`.
    pub(super) fn stations(&self, printer: &str) -> String {
        let all = self.0.get("station").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table);
        let ours = all.filter(|one| one.get("printer").and_then(Value::as_str) == Some(printer));
        let shown = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.clone(),
            Some(other) => written(other),
            None => String::new(),
        };
        let pairs = ours.map(|one| format!("{}={}", shown(one.get("workshop")), shown(one.get("name"))));
        pairs.collect::<Vec<_>>().join(", ")
    }

    /// Sets the stations of a printer; `false` where the text is none of that form.
    pub(super) fn set_stations(&mut self, printer: &str, text: &str) -> bool {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty() && *pair != "-");
        let pairs: Option<Vec<(&str, &str)>> = pairs.map(|pair| pair.split_once('=')).collect();
        let Some(pairs) = pairs else { return false };
        let all = self.0.entry("station").or_insert_with(|| Value::Array(Vec::new()));
        let Some(all) = all.as_array_mut() else { return false };
        all.retain(|one| one.get("printer").and_then(Value::as_str) != Some(printer));
        for (workshop, name) in pairs {
            let workshop = workshop.trim();
            let workshop = workshop.parse().map_or_else(|_| Value::String(workshop.to_owned()), Value::Integer);
            let texts = [("name", name.trim()), ("printer", printer)];
            let mut station: Table =
                texts.map(|(key, text)| (key.to_owned(), Value::String(text.to_owned()))).into_iter().collect();
            station.insert("workshop".to_owned(), workshop);
            all.push(Value::Table(station));
        }
        if all.is_empty() {
            self.0.remove("station");
        }
        true
    }

    /// What the reader of the configuration says about one key.
    pub(super) fn faults(&self, place: Place, key: &str, folder: &Path) -> Vec<Fault> {
        let path = match place.1 {
            None => place.0.to_owned(),
            Some(at) => {
                format!("{}.{}", place.0, self.text(place, "name").map_or((at + 1).to_string(), str::to_owned))
            }
        };
        let wanted = format!("{path}.{key}");
        let faults = self.read_back(folder).err().unwrap_or_default();
        faults.into_iter().filter(|fault| fault.key == wanted).collect()
    }

    /// The draft as the daemon would read it.
    pub(super) fn read_back(&self, folder: &Path) -> Result<Config, Vec<Fault>> {
        Config::parse(&self.render(Lang::En), folder)
    }

    /// The file, with a comment for what was asked about.
    pub(super) fn render(&self, lang: Lang) -> String {
        let mut text = format!("# {}\n", sentence(lang, "setup.head", &[]));
        let known = ORDER.iter().copied().filter(|name| self.0.contains_key(*name));
        let others = self.0.keys().map(String::as_str).filter(|name| !ORDER.contains(name));
        // Bare keys first: behind a section they would belong to it.
        let (sections, bare): (Vec<&str>, Vec<&str>) = known.chain(others).partition(|name| {
            self.0
                .get(*name)
                .is_some_and(|value| value.is_table() || value.as_array().is_some_and(|all| is_tables(all)))
        });
        for (name, value) in bare.iter().filter_map(|name| Some((name, self.0.get(*name)?))) {
            line(&mut text, "", name, value, lang);
        }
        for name in sections {
            let about = format!("setup.part.{name}");
            let mut head =
                if is_known(&about) { format!("# {}\n", sentence(lang, &about, &[])) } else { String::new() };
            match self.0.get(name) {
                Some(Value::Table(table)) => section(&mut text, &mut head, &format!("[{name}]"), table, lang),
                Some(Value::Array(all)) => {
                    for table in all.iter().filter_map(Value::as_table) {
                        section(&mut text, &mut head, &format!("[[{name}]]"), table, lang);
                    }
                }
                Some(
                    Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_),
                )
                | None => {}
            }
        }
        text
    }
}

fn is_tables(all: &[Value]) -> bool {
    !all.is_empty() && all.iter().all(Value::is_table)
}

fn section(text: &mut String, head: &mut String, name: &str, table: &Table, lang: Lang) {
    // Writing into a String cannot fail.
    let _written = writeln!(text, "\n{head}{name}").is_ok();
    head.clear();
    let rank = |key: &str| ["name", "kind", "address"].iter().position(|first| *first == key).unwrap_or(3);
    let mut keys: Vec<(&String, &Value)> = table.iter().collect();
    keys.sort_by_key(|(key, _)| rank(key));
    let about = name.trim_matches(['[', ']']);
    keys.into_iter().for_each(|(key, value)| line(text, about, key, value, lang));
}

fn line(text: &mut String, section: &str, key: &str, value: &Value, lang: Lang) {
    let codes = [format!("setup.key.{section}.{key}"), format!("setup.key.{key}")];
    let told = codes.iter().find(|code| is_known(code));
    let told = told.map_or_else(String::new, |code| format!(" # {}", sentence(lang, code, &[])));
    let pair = format!("{} = {}", quoted_key(key), written(value));
    let _written = writeln!(text, "{pair:<40}{told}").is_ok();
    while text.ends_with(" \n") {
        text.truncate(text.len() - 2);
        text.push('\n');
    }
}

fn quoted_key(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_bare { key.to_owned() } else { quoted(key) }
}

/// A value as TOML writes it.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Boolean(flag) => flag.to_string(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let pairs = table.iter().map(|(key, value)| format!("{} = {}", quoted_key(key), written(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for sign in text.chars() {
        match sign {
            '"' | '\\' => quoted.extend(['\\', sign]),
            sign if sign.is_control() => {
                let _written = write!(quoted, "\\u{:04X}", u32::from(sign)).is_ok();
            }
            sign => quoted.push(sign),
        }
    }
    quoted + "\""
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same() {
        for text in [
            include_str!("../../../config/kassad.toml"),
            include_str!("../../../tests/config/good/two_of_each.toml"),
            include_str!("../../../tests/config/good/webkassa.toml"),
            "[shop]\nname = \"a \\\"b\\\" \\\\ \\t\\u0001\"\n[[printer]]\nname = \"x\"\nodd = { a = 1, b = [true, 2.5] }\n",
        ] {
            let draft = Draft::read(text).unwrap();
            for lang in Lang::ALL {
                assert_eq!(Draft::read(&draft.render(lang)).unwrap().0, draft.0, "{}", draft.render(lang));
            }
        }
    }

    #[test]
    fn stations_are_written_as_people_say_them() {
        let mut draft = Draft::read("[[station]]\nname = \"bar\"\nprinter = \"receipt\"\nworkshop = 2\n").unwrap();
        assert!(draft.set_stations("kitchen", "1=hot, b7=Горячий цех"));
        assert_eq!(draft.stations("kitchen"), "1=hot, b7=Горячий цех");
        assert_eq!(draft.stations("receipt"), "2=bar");
        draft.rename("printer", "kitchen", "back");
        assert_eq!(
            (draft.stations("kitchen"), draft.stations("back")),
            (String::new(), "1=hot, b7=Горячий цех".into())
        );
        assert!(!draft.set_stations("receipt", "hot"));
        assert!(draft.set_stations("receipt", "-") && draft.set_stations("back", ""));
        assert_eq!(draft.count("station"), 0);
    }
}
