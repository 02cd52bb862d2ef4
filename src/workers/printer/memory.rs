//! What was learnt of a printer, kept over a restart beside the address it was learnt at: another printer is asked anew. A "no" that rests
//! on silence is not kept: the printer may only have been busy.

use crate::drivers::printer::{Ability, Profile, StatusAbilities};
use crate::transport::neighbours::Mac;
use serde::{Deserialize, Serialize};

/// What the vault holds of a printer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Kind and address in the configuration.
    identity: String,
    abilities: Abilities,
    /// How it prints letters, where a person chose it from the test slip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    letters: Option<String>,
    /// Its hardware on the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Abilities {
    real_time: Option<bool>,
    fence: Option<bool>,
    process_id: Option<bool>,
    unasked: Option<bool>,
}

/// The name under which the vault keeps a printer.
pub fn vault_name(printer: &str) -> String {
    format!("printer:{printer}")
}

impl Memory {
    /// What is kept of a printer of this identity; nothing where it was learnt from another.
    pub fn read(text: Option<&str>, identity: &str) -> Memory {
        let kept: Option<Memory> = text.and_then(|text| serde_json::from_str(text).ok());
        let fresh = Memory { identity: identity.to_owned(), ..Memory::default() };
        kept.filter(|kept| kept.identity == identity).unwrap_or(fresh)
    }

    /// The configured profile with what is known besides; what the configuration says stays.
    pub fn apply(&self, profile: Profile) -> Profile {
        let profile = self.letters.as_deref().and_then(|letters| profile.with_choice(letters)).unwrap_or(profile);
        let Abilities { real_time, fence, process_id, unasked } = self.abilities;
        let told = profile.status;
        let status = StatusAbilities {
            real_time: or(told.real_time, real_time),
            fence: or(told.fence, fence),
            process_id: or(told.process_id, process_id),
            unasked: or(told.unasked, unasked),
        };
        Profile { status, ..profile }
    }

    /// Takes in what is known now.
    pub fn learn(&mut self, status: StatusAbilities, mac: Option<Mac>) {
        self.abilities = Abilities {
            real_time: word(status.real_time).filter(|can| *can),
            fence: word(status.fence).filter(|can| *can),
            process_id: word(status.process_id),
            unasked: word(status.unasked),
        };
        if let Some(mac) = mac {
            self.mac = Some(mac.to_string());
        }
    }

    /// A person chose how it prints letters.
    pub fn choose(&mut self, profile: &Profile) {
        self.letters = Some(profile.choice_word());
    }

    /// Its hardware on the network, where it was seen.
    pub fn mac(&self) -> Option<Mac> {
        self.mac.as_deref().and_then(Mac::parse)
    }

    /// As the vault keeps it.
    pub fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

fn or(told: Ability, known: Option<bool>) -> Ability {
    match (told, known) {
        (Ability::Yes | Ability::No, _) => told,
        (Ability::Unknown, Some(true)) => Ability::Yes,
        (Ability::Unknown, Some(false)) => Ability::No,
        (Ability::Unknown, None) => Ability::Unknown,
    }
}

fn word(ability: Ability) -> Option<bool> {
    match ability {
        Ability::Yes => Some(true),
        Ability::No => Some(false),
        Ability::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::printer::Letters;

    #[test]
    fn another_printer_is_asked_anew_and_silence_is_not_kept() {
        let profile = Profile::wide(Letters::Pc866);
        let mut memory = Memory::read(None, "escpos tcp://10.0.0.7:9100");
        let known = StatusAbilities {
            real_time: Ability::Yes,
            fence: Ability::No,
            process_id: Ability::No,
            unasked: Ability::Unknown,
        };
        memory.learn(known, None);
        let text = memory.text();
        let again = Memory::read(text.as_deref(), "escpos tcp://10.0.0.7:9100").apply(profile.clone());
        assert_eq!(again.status, StatusAbilities { fence: Ability::Unknown, ..known });
        assert_eq!(Memory::read(text.as_deref(), "escpos tcp://10.0.0.8:9100").apply(profile.clone()), profile);
        let one_way = Profile { status: StatusAbilities::NONE, ..profile };
        assert_eq!(memory.apply(one_way.clone()), one_way, "the configuration knows better");
    }
}
