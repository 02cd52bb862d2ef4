//! Ways to print Kazakh that a person compares on paper, because a page number means nothing without the model (escpos §2.2): each
//! stands on the test slip with its number, and the number of the best line is the printer's setting from then on.

use super::{Letters, Profile, Way};

/// One way to print Kazakh, with its number on the test slip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its number on the slip, from 1.
    pub number: u32,
    /// How letters come to paper that the page lacks.
    pub way: Way,
    /// The characters of the page.
    pub letters: Letters,
    /// The number of the page (`ESC t`).
    pub page: u8,
}

/// Pages that hold Kazakh letters on some models (escpos §2.2): Epson, Posiflex, HP, Rongta for the region.
const NATIVE: [(Letters, u8); 4] =
    [(Letters::Kz1048, 53), (Letters::Posiflex, 224), (Letters::Kz1048, 15), (Letters::Kz1048, 6)];

/// Russian pages that characters of our own can complete: Epson and most clones, Rongta and Citizen, the clones' numbers of CP1251.
const RUSSIAN: [(Letters, u8); 7] = [
    (Letters::Pc866, 17),
    (Letters::Pc866, 7),
    (Letters::Cp1251, 46),
    (Letters::Cp1251, 73),
    (Letters::Cp1251, 23),
    (Letters::Cp1251, 6),
    (Letters::Cp1251, 28),
];

/// All ways to try on this printer: pages with Kazakh letters first, then our own characters, pictures last.
pub fn candidates(profile: &Profile) -> Vec<Candidate> {
    let mut ways: Vec<(Way, Letters, u8)> = Vec::with_capacity(14);
    ways.extend(NATIVE.map(|(letters, page)| (Way::Page, letters, page)));
    let own = (if profile.letters.holds_kazakh() { Way::Page } else { Way::Defined }, profile.letters, profile.page);
    if own.0 == Way::Page && !ways.contains(&own) {
        ways.push(own);
    }
    ways.extend(RUSSIAN.map(|(letters, page)| (Way::Defined, letters, page)));
    if !ways.contains(&own) {
        ways.push(own);
    }
    ways.push((Way::Raster, profile.letters, profile.page));
    (1..).zip(ways).map(|(number, (way, letters, page))| Candidate { number, way, letters, page }).collect()
}

impl Candidate {
    /// What it is, beside its sample: `native kz1048 53`, `defined pc866 17`, `raster`.
    pub fn word(&self) -> String {
        choice_word(self.way, self.letters, self.page)
    }
}

impl Profile {
    /// This printer with the way that has a number on its test slip; `None` for a number that is not on it.
    pub fn with_candidate(&self, number: u32) -> Option<Profile> {
        let Candidate { way, letters, page, .. } =
            candidates(self).into_iter().find(|candidate| candidate.number == number)?;
        Some(Profile { way, letters, page, ..self.clone() })
    }

    /// How this printer prints Kazakh, in a stable form that can be kept: `native kz1048 53`, `plain pc866 17`, `defined pc866 17`,
    /// `raster`.
    pub fn choice_word(&self) -> String {
        choice_word(self.way, self.letters, self.page)
    }

    /// This printer with a kept choice; `None` for a text that is none.
    pub fn with_choice(&self, text: &str) -> Option<Profile> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let way = match words.first().copied()? {
            "native" | "plain" => Way::Page,
            "defined" => Way::Defined,
            "raster" => Way::Raster,
            _ => return None,
        };
        match (way, words.get(1..)?) {
            (Way::Raster, []) => Some(Profile { way, ..self.clone() }),
            (Way::Page | Way::Defined, [letters, page]) => {
                let (letters, page) = (Letters::from_word(letters)?, page.parse().ok()?);
                Some(Profile { way, letters, page, ..self.clone() })
            }
            (Way::Page | Way::Defined | Way::Raster, _) => None,
        }
    }
}

fn choice_word(way: Way, letters: Letters, page: u8) -> String {
    let word = match way {
        Way::Raster => return "raster".to_owned(),
        Way::Defined => "defined",
        Way::Page if letters.holds_kazakh() => "native",
        Way::Page => "plain",
    };
    format!("{word} {} {page}", letters.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_candidate_has_its_number_and_comes_back_from_its_word() {
        for profile in [
            Profile::wide(Letters::Pc866),
            Profile { page: 59, ..Profile::narrow(Letters::Pc866) },
            Profile { page: 40, ..Profile::wide(Letters::Kz1048) },
        ] {
            let all = candidates(&profile);
            assert!((12..=14).contains(&all.len()), "{}", all.len());
            for (number, candidate) in (1..).zip(&all) {
                assert_eq!(candidate.number, number);
                let chosen = profile.with_candidate(number);
                let what = chosen.as_ref().map(|chosen| (chosen.way, chosen.letters, chosen.page));
                assert_eq!(what, Some((candidate.way, candidate.letters, candidate.page)));
                assert_eq!(chosen.as_ref().and_then(|chosen| profile.with_choice(&chosen.choice_word())), chosen);
                assert_eq!(all.iter().filter(|other| other.word() == candidate.word()).count(), 1);
            }
            assert!(all.iter().any(|one| (one.letters, one.page) == (profile.letters, profile.page)));
            assert_eq!(all.last().map(|last| last.way), Some(Way::Raster));
            assert_eq!(profile.with_candidate(99), None);
        }
    }

    #[test]
    fn a_kept_choice_that_is_none_is_refused() {
        let profile = Profile::wide(Letters::Pc866);
        for text in ["", "native", "native kz1048", "defined koi8 3", "defined pc866 300", "raster 1", "page pc866 17"]
        {
            assert_eq!(profile.with_choice(text), None, "{text}");
        }
        assert_eq!(profile.with_choice("plain pc866 7").map(|plain| plain.page), Some(7));
    }
}
