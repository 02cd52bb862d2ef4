//! Characters and the bytes of a printer's page (escpos §2.1, §2.2): own tables of 128 entries, because no crate knows them all right.
//! [`Letters::fold`] makes any text printable on a page, legibly and without a single command byte in it; [`Letters::encode`] turns
//! what was folded into bytes, one a cell. What a printer can draw beside its page is the profile's to say.

/// A table of characters that a printer's page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Letters {
    /// Russian and lines; no Kazakh letter.
    Pc866,
    /// Windows Cyrillic; of the Kazakh letters only І.
    Cp1251,
    /// Windows Cyrillic with all Kazakh letters (STRK1048).
    Kz1048,
    /// Posiflex' own page: Russian as in page 866, the Kazakh letters where that has lines; no Ё.
    Posiflex,
}

/// What stands for a character that no page and no fallback knows.
const UNKNOWN: &str = "?";

impl Letters {
    /// All of them.
    pub const ALL: [Letters; 4] = [Letters::Pc866, Letters::Cp1251, Letters::Kz1048, Letters::Posiflex];

    /// The word of the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Letters::Pc866 => "pc866",
            Letters::Cp1251 => "cp1251",
            Letters::Kz1048 => "kz1048",
            Letters::Posiflex => "posiflex",
        }
    }

    /// Reads the word of the configuration.
    pub fn from_word(word: &str) -> Option<Letters> {
        Letters::ALL.into_iter().find(|letters| letters.word() == word)
    }

    /// The number under which its makers hold this page: Epson's current models, for its own page Posiflex.
    pub fn usual_page(self) -> u8 {
        match self {
            Letters::Pc866 => 17,
            Letters::Cp1251 => 46,
            Letters::Kz1048 => 53,
            Letters::Posiflex => 224,
        }
    }

    /// Whether the page holds the Kazakh letters.
    pub fn holds_kazakh(self) -> bool {
        match self {
            Letters::Kz1048 | Letters::Posiflex => true,
            Letters::Pc866 | Letters::Cp1251 => false,
        }
    }

    /// The character of a byte, as a printer with this page prints it; `None` for bytes that are no character.
    pub fn decode(self, byte: u8) -> Option<char> {
        match byte {
            0x20..=0x7E => Some(char::from(byte)),
            0x80.. => self.table().get(usize::from(byte - 0x80)).copied().filter(|letter| *letter != GAP),
            _ => None,
        }
    }

    /// The byte of a character that the page holds.
    pub fn encode(self, letter: char) -> Option<u8> {
        match u32::from(letter) {
            code @ 0x20..=0x7E => u8::try_from(code).ok(),
            0xAD => None,
            code @ 0x400..=0x4FF => {
                let byte = usize::try_from(code - 0x400).ok().and_then(|place| self.cyrillic().get(place))?;
                (*byte != 0).then_some(*byte)
            }
            0x80.. => {
                let place = self.table().iter().position(|held| *held == letter && letter != GAP)?;
                u8::try_from(place + 0x80).ok()
            }
            _ => None,
        }
    }

    /// Makes a text printable on this page and appends it: every character of the result has a byte, none of them is a command.
    pub fn fold_into(self, text: &str, folded: &mut String) {
        fold_by(text, |letter| self.encode(letter).is_some(), folded);
    }

    /// The same as a new text.
    pub fn fold(self, text: &str) -> String {
        let mut folded = String::with_capacity(text.len());
        self.fold_into(text, &mut folded);
        folded
    }

    /// The bytes of a folded text. A character that was not folded is shown as unknown.
    pub fn bytes(self, folded: &str) -> Vec<u8> {
        folded.chars().map(|letter| self.encode(letter).unwrap_or(b'?')).collect()
    }

    const fn table(self) -> &'static [char; 128] {
        match self {
            Letters::Pc866 => &PC866,
            Letters::Cp1251 => &CP1251,
            Letters::Kz1048 => &KZ1048,
            Letters::Posiflex => &POSIFLEX,
        }
    }

    const fn cyrillic(self) -> &'static [u8; 256] {
        match self {
            Letters::Pc866 => &PC866_CYRILLIC,
            Letters::Cp1251 => &CP1251_CYRILLIC,
            Letters::Kz1048 => &KZ1048_CYRILLIC,
            Letters::Posiflex => &POSIFLEX_CYRILLIC,
        }
    }
}

/// Makes a text printable by what `holds` says can be printed, and appends it. A character that cannot be is replaced by one that looks
/// alike, else by a sign that shows that something stood here; one sign for a picture of several characters.
pub fn fold_by(text: &str, holds: impl Fn(char) -> bool, folded: &mut String) {
    let start = folded.len();
    let (mut before, mut shown) = (None, "");
    for letter in text.chars() {
        let joined = before.and_then(|before| join(before, letter)).filter(|joined| holds(*joined));
        if let Some(joined) = joined {
            folded.pop();
            folded.push(joined);
            shown = "";
        } else if letter != '\u{A0}' && holds(letter) {
            folded.push(letter);
            shown = "";
        } else if !is_part(letter, before, shown, folded.get(start..).unwrap_or_default()) {
            let stand_in = fallback(letter);
            folded.push_str(stand_in);
            // What has no ink parts nothing.
            shown = if stand_in.is_empty() { shown } else { stand_in };
        }
        before = Some(letter);
    }
}

/// Whether a character only adds to what was shown before it: an accent to its letter, a part to its picture.
fn is_part(letter: char, before: Option<char>, shown: &str, folded: &str) -> bool {
    match letter {
        '\u{300}'..='\u{36F}' | '\u{483}'..='\u{489}' | '\u{20D0}'..='\u{20FF}' => {
            folded.ends_with(|before: char| before != ' ')
        }
        '\u{1F3FB}'..='\u{1F3FF}' => shown == UNKNOWN,
        _ => before == Some('\u{200D}') && shown == UNKNOWN && fallback(letter) == UNKNOWN,
    }
}

/// What stands for a character that cannot be printed: legible, and never empty for anything that has ink.
fn fallback(letter: char) -> &'static str {
    match letter {
        'Ә' => "А",
        'ә' => "а",
        'Ғ' | 'Ґ' => "Г",
        'ғ' | 'ґ' => "г",
        'Қ' => "К",
        'қ' => "к",
        'Ң' => "Н",
        'ң' => "н",
        'Ө' => "О",
        'ө' => "о",
        'Ұ' | 'Ү' => "У",
        'ұ' | 'ү' => "у",
        'Һ' => "Х",
        'һ' => "х",
        'І' => "I",
        'і' => "i",
        'Ё' => "Е",
        'ё' => "е",
        '₸' => "тг",
        '№' => "N",
        '«' | '»' | '“' | '”' | '„' | '‟' | '″' => "\"",
        '‘' | '’' | '‚' | '‹' | '›' | '′' | 'ʼ' | '`' => "'",
        '–' | '—' | '―' | '−' | '‐' | '‑' | '‒' | '─' => "-",
        '│' => "|",
        '…' => "...",
        '×' => "x",
        '•' | '·' => "*",
        '½' => "1/2",
        '¼' => "1/4",
        '¾' => "3/4",
        '€' => "EUR",
        '₽' => "руб",
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' => "a",
        'è' | 'é' | 'ê' | 'ë' => "e",
        'ì' | 'í' | 'î' | 'ï' | 'ı' => "i",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' => "o",
        'ù' | 'ú' | 'û' | 'ü' => "u",
        'À' | 'Á' | 'Â' | 'Ä' => "A",
        'È' | 'É' | 'Ê' | 'Ë' => "E",
        'Ö' | 'Ô' | 'Ó' => "O",
        'Ü' | 'Ú' => "U",
        'ç' => "c",
        'Ç' => "C",
        'ñ' => "n",
        'ş' => "s",
        'ğ' => "g",
        '\t'
        | '\n'
        | '\r'
        | '\u{A0}'
        | '\u{2000}'..='\u{200A}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{202F}'
        | '\u{205F}'
        | '\u{3000}' => " ",
        // Without ink: soft hyphens, joiners, marks of direction, variants of pictures.
        '\u{AD}'
        | '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}'
        | '\u{E0000}'..='\u{E0FFF}' => "",
        _ => UNKNOWN,
    }
}

/// Letters that some keyboards and phones write as a base and a mark.
fn join(before: char, mark: char) -> Option<char> {
    match (before, mark) {
        ('и', '\u{306}') => Some('й'),
        ('И', '\u{306}') => Some('Й'),
        ('е', '\u{308}') => Some('ё'),
        ('Е', '\u{308}') => Some('Ё'),
        _ => None,
    }
}

/// Bytes of U+0400 to U+04FF on a page, 0 where it has none: a receipt is encoded without searching.
const fn invert(table: &[char; 128]) -> [u8; 256] {
    let mut bytes = [0; 256];
    let mut place = 0;
    while place < 128 {
        let code = table[place] as u32;
        if code >= 0x400 && code < 0x500 {
            bytes[(code - 0x400) as usize] = place as u8 + 0x80;
        }
        place += 1;
    }
    bytes
}

/// A byte that is no character.
const GAP: char = '\u{FFFD}';

static PC866_CYRILLIC: [u8; 256] = invert(&PC866);
static CP1251_CYRILLIC: [u8; 256] = invert(&CP1251);
static KZ1048_CYRILLIC: [u8; 256] = invert(&KZ1048);
static POSIFLEX_CYRILLIC: [u8; 256] = invert(&POSIFLEX);

#[rustfmt::skip]
const PC866: [char; 128] = [
    'А', 'Б', 'В', 'Г', 'Д', 'Е', 'Ж', 'З', 'И', 'Й', 'К', 'Л', 'М', 'Н', 'О', 'П',
    'Р', 'С', 'Т', 'У', 'Ф', 'Х', 'Ц', 'Ч', 'Ш', 'Щ', 'Ъ', 'Ы', 'Ь', 'Э', 'Ю', 'Я',
    'а', 'б', 'в', 'г', 'д', 'е', 'ж', 'з', 'и', 'й', 'к', 'л', 'м', 'н', 'о', 'п',
    '░', '▒', '▓', '│', '┤', '╡', '╢', '╖', '╕', '╣', '║', '╗', '╝', '╜', '╛', '┐',
    '└', '┴', '┬', '├', '─', '┼', '╞', '╟', '╚', '╔', '╩', '╦', '╠', '═', '╬', '╧',
    '╨', '╤', '╥', '╙', '╘', '╒', '╓', '╫', '╪', '┘', '┌', '█', '▄', '▌', '▐', '▀',
    'р', 'с', 'т', 'у', 'ф', 'х', 'ц', 'ч', 'ш', 'щ', 'ъ', 'ы', 'ь', 'э', 'ю', 'я',
    'Ё', 'ё', 'Є', 'є', 'Ї', 'ї', 'Ў', 'ў', '°', '∙', '·', '√', '№', '¤', '■', '\u{A0}',
];

#[rustfmt::skip]
const CP1251: [char; 128] = [
    'Ђ', 'Ѓ', '‚', 'ѓ', '„', '…', '†', '‡', '€', '‰', 'Љ', '‹', 'Њ', 'Ќ', 'Ћ', 'Џ',
    'ђ', '‘', '’', '“', '”', '•', '–', '—', GAP, '™', 'љ', '›', 'њ', 'ќ', 'ћ', 'џ',
    '\u{A0}', 'Ў', 'ў', 'Ј', '¤', 'Ґ', '¦', '§', 'Ё', '©', 'Є', '«', '¬', '\u{AD}', '®', 'Ї',
    '°', '±', 'І', 'і', 'ґ', 'µ', '¶', '·', 'ё', '№', 'є', '»', 'ј', 'Ѕ', 'ѕ', 'ї',
    'А', 'Б', 'В', 'Г', 'Д', 'Е', 'Ж', 'З', 'И', 'Й', 'К', 'Л', 'М', 'Н', 'О', 'П',
    'Р', 'С', 'Т', 'У', 'Ф', 'Х', 'Ц', 'Ч', 'Ш', 'Щ', 'Ъ', 'Ы', 'Ь', 'Э', 'Ю', 'Я',
    'а', 'б', 'в', 'г', 'д', 'е', 'ж', 'з', 'и', 'й', 'к', 'л', 'м', 'н', 'о', 'п',
    'р', 'с', 'т', 'у', 'ф', 'х', 'ц', 'ч', 'ш', 'щ', 'ъ', 'ы', 'ь', 'э', 'ю', 'я',
];

#[rustfmt::skip]
const KZ1048: [char; 128] = [
    'Ђ', 'Ѓ', '‚', 'ѓ', '„', '…', '†', '‡', '€', '‰', 'Љ', '‹', 'Њ', 'Қ', 'Һ', 'Џ',
    'ђ', '‘', '’', '“', '”', '•', '–', '—', GAP, '™', 'љ', '›', 'њ', 'қ', 'һ', 'џ',
    '\u{A0}', 'Ұ', 'ұ', 'Ә', '¤', 'Ө', '¦', '§', 'Ё', '©', 'Ғ', '«', '¬', '\u{AD}', '®', 'Ү',
    '°', '±', 'І', 'і', 'ө', 'µ', '¶', '·', 'ё', '№', 'ғ', '»', 'ә', 'Ң', 'ң', 'ү',
    'А', 'Б', 'В', 'Г', 'Д', 'Е', 'Ж', 'З', 'И', 'Й', 'К', 'Л', 'М', 'Н', 'О', 'П',
    'Р', 'С', 'Т', 'У', 'Ф', 'Х', 'Ц', 'Ч', 'Ш', 'Щ', 'Ъ', 'Ы', 'Ь', 'Э', 'Ю', 'Я',
    'а', 'б', 'в', 'г', 'д', 'е', 'ж', 'з', 'и', 'й', 'к', 'л', 'м', 'н', 'о', 'п',
    'р', 'с', 'т', 'у', 'ф', 'х', 'ц', 'ч', 'ш', 'щ', 'ъ', 'ы', 'ь', 'э', 'ю', 'я',
];

#[rustfmt::skip]
const POSIFLEX: [char; 128] = [
    'А', 'Б', 'В', 'Г', 'Д', 'Е', 'Ж', 'З', 'И', 'Й', 'К', 'Л', 'М', 'Н', 'О', 'П',
    'Р', 'С', 'Т', 'У', 'Ф', 'Х', 'Ц', 'Ч', 'Ш', 'Щ', 'Ъ', 'Ы', 'Ь', 'Э', 'Ю', 'Я',
    'а', 'б', 'в', 'г', 'д', 'е', 'ж', 'з', 'и', 'й', 'к', 'л', 'м', 'н', 'о', 'п',
    'Ә', 'ә', '▓', '│', '┤', '╡', '╢', '╖', '╕', '╣', '║', '╗', '╝', '╜', '╛', '┐',
    '└', '┴', '┬', '├', '─', '┼', '╞', '╟', '╚', '╔', '╩', '╦', '╠', '═', '╬', '╧',
    '╨', '╤', '╥', '╙', '╘', '╒', '╓', '╫', '╪', '┘', '┌', 'Ғ', 'ғ', '▌', 'Қ', 'қ',
    'р', 'с', 'т', 'у', 'ф', 'х', 'ц', 'ч', 'ш', 'щ', 'ъ', 'ы', 'ь', 'э', 'ю', 'я',
    'Ң', 'ң', 'ү', 'Ө', 'ө', 'Ұ', 'ұ', 'Ү', '°', '∙', '·', '√', '№', 'Һ', 'һ', '\u{A0}',
];

#[cfg(test)]
mod tests {
    use super::*;

    const KAZAKH: &str = "ӘәҒғҚқҢңӨөҰұҮүҺһІі";

    #[test]
    fn kz1048_holds_all_kazakh_letters() {
        let bytes = Letters::Kz1048.bytes(KAZAKH);
        let expected = [
            0xA3, 0xBC, 0xAA, 0xBA, 0x8D, 0x9D, 0xBD, 0xBE, 0xA5, 0xB4, 0xA1, 0xA2, 0xAF, 0xBF, 0x8E, 0x9E, 0xB2, 0xB3,
        ];
        assert_eq!(bytes, expected);
        assert_eq!(Letters::Kz1048.fold(KAZAKH), KAZAKH);
    }

    #[test]
    fn pages_without_them_stay_legible() {
        assert_eq!(Letters::Pc866.fold("Қазақша: Әлия, Үй, 5 000 ₸"), "Казакша: Алия, Уй, 5 000 тг");
        assert_eq!(Letters::Cp1251.fold("Іңкәр «Ғ» – ½"), "Інкар «Г» – 1/2");
        assert_eq!(Letters::Pc866.fold("«Чай» — 2×2…"), "\"Чай\" - 2x2...");
        assert_eq!(Letters::Pc866.fold("№ 7, café, 🍕"), "№ 7, cafe, ?");
    }

    #[test]
    fn a_menu_cannot_command_the_printer() {
        for letters in Letters::ALL {
            let folded = letters.fold("Чай\u{1B}p\0\u{10}\u{4}\u{1}\u{7F}\u{85}\n\u{9B}2");
            assert!(letters.bytes(&folded).iter().all(|byte| *byte >= 0x20 && *byte != 0x7F), "{folded}");
        }
    }

    #[test]
    fn a_letter_of_two_signs_is_one() {
        assert_eq!(Letters::Pc866.fold("Чаи\u{306} е\u{308}"), "Чай ё");
        assert_eq!(Letters::Pc866.fold("за\u{301}мок, cafe\u{301}, \u{301}"), "замок, cafe, ?");
    }

    #[test]
    fn a_picture_of_several_signs_is_replaced_once() {
        assert_eq!(Letters::Kz1048.fold("👩\u{200D}🍳 👍\u{1F3FD} ❤\u{FE0F} 👍👍"), "? ? ? ??");
    }

    #[test]
    fn posiflex_has_its_own_page() {
        let bytes = Letters::Posiflex.bytes("ҒғҚқҢңүӨөҰұҮҺһӘә");
        let expected = [0xDB, 0xDC, 0xDE, 0xDF, 0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xFD, 0xFE, 0xB0, 0xB1];
        assert_eq!(bytes, expected);
        assert_eq!(Letters::Posiflex.fold("Ёлка ёж, Іңір"), "Елка еж, Iңiр");
    }

    #[test]
    fn bytes_and_characters_agree_both_ways() {
        for letters in Letters::ALL {
            let mut seen = 0;
            for byte in 0x20..=0xFFu8 {
                if let Some(letter) = letters.decode(byte).filter(|letter| *letter != '\u{AD}') {
                    assert_eq!(letters.encode(letter), Some(byte), "{letter}");
                    seen += 1;
                }
            }
            assert!(seen >= 95 + 126, "{seen}");
        }
        assert_eq!(Letters::Cp1251.decode(0x98), None);
        assert_eq!(Letters::Kz1048.encode('-'), Some(0x2D));
    }
}
