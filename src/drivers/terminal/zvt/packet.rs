//! ZVT APDUs: commands are built here and what the terminal sends is read here, by tables of the protocol's fields (kaspi-terminal §2.2).
//! A field with an unknown number hides all that follows it: what was read before stays, and the rest counts as not read.

use crate::domain::money::Tiyn;

/// Registration.
pub const REGISTRATION: [u8; 2] = [0x06, 0x00];
/// Payment.
pub const PAYMENT: [u8; 2] = [0x06, 0x01];
/// Log-off.
pub const LOG_OFF: [u8; 2] = [0x06, 0x02];
/// The command ended.
pub const COMPLETION: [u8; 2] = [0x06, 0x0F];
/// The command ended without success.
pub const ABORTED: [u8; 2] = [0x06, 0x1E];
/// The result of the last transaction once more.
pub const REPEAT_RECEIPT: [u8; 2] = [0x06, 0x20];
/// Undo a payment of this shift.
pub const REVERSAL: [u8; 2] = [0x06, 0x30];
/// Give money back.
pub const REFUND: [u8; 2] = [0x06, 0x31];
/// The terminal's own end of day.
pub const END_OF_DAY: [u8; 2] = [0x06, 0x50];
/// A talk with the bank's host.
pub const DIAGNOSIS: [u8; 2] = [0x06, 0x70];
/// Stop what waits.
pub const ABORT: [u8; 2] = [0x06, 0xB0];
/// A line for paper.
pub const PRINT_LINE: [u8; 2] = [0x06, 0xD1];
/// Several lines for paper.
pub const PRINT_BLOCK: [u8; 2] = [0x06, 0xD3];
/// How the terminal is.
pub const STATUS_ENQUIRY: [u8; 2] = [0x05, 0x01];
/// What became of a transaction.
pub const STATUS_INFORMATION: [u8; 2] = [0x04, 0x0F];
/// What the guest is asked to do.
pub const INTERMEDIATE_STATUS: [u8; 2] = [0x04, 0xFF];
/// The application's own "understood".
pub const POSITIVE: [u8; 2] = [0x80, 0x00];

/// The largest sum that a field of six BCD bytes holds, in the smallest unit.
pub const AMOUNT_MAX: i64 = 999_999_999_999;
/// The longest text that is kept of a field.
const TEXT_CHARS_MAX: usize = 2000;

/// A command or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apdu {
    /// Class and instruction.
    pub control: [u8; 2],
    /// What comes after the length.
    pub data: Vec<u8>,
}

impl Apdu {
    /// An APDU of these parts; data beyond the longest length is cut.
    pub fn new(control: [u8; 2], data: &[u8]) -> Apdu {
        Apdu { control, data: data.iter().take(0xFFFF).copied().collect() }
    }

    /// As bytes: one byte of length, or `FF` and two, low first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.control.to_vec();
        match u8::try_from(self.data.len()) {
            Ok(length) if length < 0xFF => bytes.push(length),
            Ok(_) | Err(_) => {
                bytes.push(0xFF);
                bytes.extend(u16::try_from(self.data.len()).unwrap_or(u16::MAX).to_le_bytes());
            }
        }
        bytes.extend(&self.data);
        bytes
    }

    /// Reads bytes; `None` where the length is not theirs.
    pub fn from_bytes(bytes: &[u8]) -> Option<Apdu> {
        let (control, length, data) = match bytes {
            [class, instruction, 0xFF, low, high, data @ ..] => {
                ([*class, *instruction], usize::from(u16::from_le_bytes([*low, *high])), data)
            }
            [class, instruction, length, data @ ..] if *length != 0xFF => {
                ([*class, *instruction], usize::from(*length), data)
            }
            _ => return None,
        };
        (data.len() == length).then(|| Apdu { control, data: data.to_vec() })
    }
}

/// Six digits that the terminal wants with most commands, in BCD.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password(pub [u8; 3]);

impl std::fmt::Debug for Password {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Password(…)")
    }
}

impl Password {
    /// Reads six digits.
    pub fn parse(text: &str) -> Option<Password> {
        let number = Some(text).filter(|text| text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit()))?;
        bcd(number.parse().ok()?).map(Password)
    }
}

/// A number as packed decimal digits; `None` where it is too long or negative.
pub fn bcd<const BYTES: usize>(number: i64) -> Option<[u8; BYTES]> {
    let mut rest = u64::try_from(number).ok()?;
    let mut bytes = [0; BYTES];
    for byte in bytes.iter_mut().rev() {
        *byte = u8::try_from(rest % 10 + rest / 10 % 10 * 16).ok()?;
        rest /= 100;
    }
    (rest == 0).then_some(bytes)
}

/// Packed decimal digits as a number; `None` where a half byte is no digit.
pub fn number(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0_i64, |number, byte| {
        let (tens, ones) = (i64::from(byte >> 4), i64::from(byte & 0x0F));
        (tens < 10 && ones < 10).then_some(())?;
        number.checked_mul(100)?.checked_add(tens * 10 + ones)
    })
}

/// Makes ourselves known: how receipts are printed, and the currency.
pub fn registration(password: Password, config: u8, currency: [u8; 2]) -> Apdu {
    Apdu::new(REGISTRATION, &[&password.0[..], &[config], &currency, &[0x03, 0x00]].concat())
}

/// Asks the guest for money; `None` for a sum that the protocol cannot carry.
pub fn payment(amount: Tiyn, currency: [u8; 2]) -> Option<Apdu> {
    Some(Apdu::new(PAYMENT, &[&sum(amount)?[..], &[0x49], &currency].concat()))
}

/// Gives money back to a card that the guest shows.
pub fn refund(password: Password, amount: Tiyn, currency: [u8; 2]) -> Option<Apdu> {
    Some(Apdu::new(REFUND, &[&password.0[..], &sum(amount)?, &[0x49], &currency].concat()))
}

/// Undoes the payment of a receipt number.
pub fn reversal(password: Password, receipt: u16) -> Option<Apdu> {
    Some(Apdu::new(REVERSAL, &[&password.0[..], &[0x87], &bcd::<2>(i64::from(receipt))?].concat()))
}

/// Asks for the result of the last transaction. The service byte says: no paper, send the status information.
pub fn repeat_receipt(password: Password) -> Apdu {
    Apdu::new(REPEAT_RECEIPT, &[&password.0[..], &[0x03, 0x03]].concat())
}

/// Asks how the terminal is.
pub fn status_enquiry(password: Password) -> Apdu {
    Apdu::new(STATUS_ENQUIRY, &password.0)
}

/// Asks for the terminal's own end of day.
pub fn end_of_day(password: Password) -> Apdu {
    Apdu::new(END_OF_DAY, &password.0)
}

/// Stops what waits for the guest.
pub fn abort() -> Apdu {
    Apdu::new(ABORT, &[])
}

/// "Understood", after each APDU of the terminal.
pub fn positive() -> Apdu {
    Apdu::new(POSITIVE, &[])
}

fn sum(amount: Tiyn) -> Option<[u8; 7]> {
    let digits = bcd::<6>(Some(amount.0).filter(|sum| (1..=AMOUNT_MAX).contains(sum))?)?;
    let mut field = [0x04, 0, 0, 0, 0, 0, 0];
    field.iter_mut().skip(1).zip(digits).for_each(|(place, digit)| *place = digit);
    Some(field)
}

/// What a status information says; a field that was not there or could not be read is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusInfo {
    /// 0 is success; everything else is the reason of the failure.
    pub result: Option<u8>,
    /// In the smallest unit.
    pub amount: Option<Tiyn>,
    /// The number of the receipt: four digits.
    pub receipt: Option<u16>,
    /// The number of the exchange with the bank: six digits.
    pub trace: Option<u32>,
    /// ISO number of the currency.
    pub currency: Option<u16>,
    /// The terminal's number at the bank.
    pub terminal: Option<u32>,
    /// The last four digits of the card, as far as they are not masked.
    pub card_end: Option<String>,
    /// The card's brand.
    pub card_name: Option<String>,
    /// What the bank says.
    pub text: Option<String>,
    /// Nothing was left unread.
    pub is_whole: bool,
}

/// How long a field is.
#[derive(Clone, Copy)]
enum Length {
    Fixed(usize),
    /// Two bytes `Fx Fy`: xy bytes.
    Two,
    /// Three bytes.
    Three,
    /// As TLV.
    Tlv,
}

fn length_of(field: u8) -> Option<Length> {
    Some(match field {
        0x01..=0x03 | 0x05 | 0x19 | 0x27 | 0x72..=0x75 | 0x8A | 0x8C | 0xA0 | 0xD0 | 0xD2 | 0xD3 | 0xE0 => {
            Length::Fixed(1)
        }
        0xE9 | 0xEA | 0xF0 | 0xF9..=0xFD => Length::Fixed(1),
        0x0D | 0x0E | 0x17 | 0x3A | 0x49 | 0x87 => Length::Fixed(2),
        0x0B | 0x0C | 0x37 | 0x3D | 0x88 | 0xAA => Length::Fixed(3),
        0x29 | 0x70 | 0x71 => Length::Fixed(4),
        0xBA => Length::Fixed(5),
        0x04 => Length::Fixed(6),
        0x3B | 0xEB => Length::Fixed(8),
        0x2A => Length::Fixed(15),
        0x22 | 0x23 | 0x2D | 0x8B | 0xA7 | 0xD1 | 0xE1..=0xE8 | 0xF1..=0xF8 => Length::Two,
        0x24 | 0x2E | 0x3C | 0x60 | 0x92 | 0x9A | 0xAF => Length::Three,
        0x06 => Length::Tlv,
        _ => return None,
    })
}

impl StatusInfo {
    /// Reads the data of a status information as far as it can be read.
    pub fn read(data: &[u8]) -> StatusInfo {
        let mut info = StatusInfo::default();
        let mut rest = data;
        while let [field, after @ ..] = rest {
            let Some((value, next)) = length_of(*field).and_then(|length| split(length, after)) else { return info };
            if !info.keep(*field, value) {
                return info;
            }
            rest = next;
        }
        info.is_whole = true;
        info
    }

    /// Keeps a field; `false` where it contradicts what came before it: then nothing after it is believed either.
    fn keep(&mut self, field: u8, value: &[u8]) -> bool {
        match field {
            0x27 => once(&mut self.result, value.first().copied()),
            0x04 => once(&mut self.amount, number(value).map(Tiyn)),
            0x87 => once(&mut self.receipt, number(value).and_then(|number| u16::try_from(number).ok())),
            0x0B => once(&mut self.trace, number(value).and_then(|number| u32::try_from(number).ok())),
            0x49 => once(&mut self.currency, number(value).and_then(|number| u16::try_from(number).ok())),
            0x29 => once(&mut self.terminal, number(value).and_then(|number| u32::try_from(number).ok())),
            0x22 => once(&mut self.card_end, card_end(value)),
            0x8B => once(&mut self.card_name, Some(text(value))),
            0x3C => once(&mut self.text, Some(text(value))),
            _ => true,
        }
    }
}

fn once<T: PartialEq>(place: &mut Option<T>, value: Option<T>) -> bool {
    match (place.as_ref(), value) {
        (None, value) => {
            *place = value;
            true
        }
        (Some(known), Some(value)) => *known == value,
        (Some(_), None) => false,
    }
}

fn split(length: Length, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let decimal = |digits: &[u8]| {
        digits.iter().try_fold(0_usize, |sum, digit| {
            (digit >> 4 == 0x0F && digit & 0x0F < 10).then(|| sum * 10 + usize::from(digit & 0x0F))
        })
    };
    let (count, rest) = match (length, bytes) {
        (Length::Fixed(count), rest) => (count, rest),
        (Length::Two, [tens, ones, rest @ ..]) => (decimal(&[*tens, *ones])?, rest),
        (Length::Three, [hundreds, tens, ones, rest @ ..]) => (decimal(&[*hundreds, *tens, *ones])?, rest),
        (Length::Tlv, [count @ 0..=0x7F, rest @ ..]) => (usize::from(*count), rest),
        (Length::Tlv, [0x81, count, rest @ ..]) => (usize::from(*count), rest),
        (Length::Tlv, [0x82, high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        (Length::Two | Length::Three | Length::Tlv, _) => return None,
    };
    rest.split_at_checked(count)
}

/// Four digits at the most, whatever the terminal leaves unmasked: a card number is never stored.
fn card_end(value: &[u8]) -> Option<String> {
    let halves: Vec<u8> = value.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]).filter(|half| *half != 0x0F).collect();
    let end = halves.get(halves.len().checked_sub(4)?..)?;
    end.iter().map(|half| (*half < 10).then(|| char::from(b'0' + half))).collect()
}

/// Text of a field; letters outside ASCII are shown as `?`, for the terminal's code page is not told to us.
pub fn text(bytes: &[u8]) -> String {
    let shown = |byte: &u8| if (0x20..0x7F).contains(byte) { char::from(*byte) } else { '?' };
    let ended: &[u8] = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    ended.iter().take(TEXT_CHARS_MAX).map(shown).collect::<String>().trim_end().to_owned()
}

/// The text of a print block: the lines (tag 07) inside its TLV container, wherever they are nested.
pub fn block_lines(data: &[u8]) -> Vec<String> {
    let Some((container, _)) = data.strip_prefix(&[0x06]).and_then(|rest| split(Length::Tlv, rest)) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let mut rest = container;
    while let [tag, after @ ..] = rest {
        // A tag of two bytes: its second one follows.
        let is_long = tag & 0x1F == 0x1F;
        let Some((value, next)) = after.get(usize::from(is_long)..).and_then(|after| split(Length::Tlv, after)) else {
            break;
        };
        match tag {
            0x07 => lines.push(text(value)),
            0x25 => {
                rest = after.get(after.len() - next.len() - value.len()..).unwrap_or_default();
                continue;
            }
            _ => {}
        }
        rest = next;
    }
    lines
}

/// What the guest is asked to do, in a word for the screen; codes from 40 on say the same and "remove the card".
pub fn progress_word(code: u8) -> &'static str {
    match if (0x41..0x80).contains(&code) { code - 0x40 } else { code } {
        0x00 => "confirm_amount",
        0x01 | 0x02 => "pin",
        0x04 => "bank",
        0x05 => "auto_reversal",
        0x06 | 0x0F => "bookings",
        0x0A => "card",
        0x0B => "take_card",
        0x14 | 0x15 | 0x16 | 0x1D => "declined",
        0x1B | 0x1C => "approved",
        0xD2 | 0xD3 => "dialling",
        _ => "wait",
    }
}

/// What a result, an abort or a negative answer means, for the log and the cashier; `None` for a code that is not in the table.
pub fn result_word(code: u8) -> Option<&'static str> {
    Some(match code {
        0x00 => "no error",
        0x01..=0x63 => "the bank declined",
        0x64 => "card not readable",
        0x65 => "card data missing",
        0x66 => "processing error",
        0x67 | 0x68 | 0xD2 => "not permitted for this card",
        0x6A => "turnover file full",
        0x6B => "not registered",
        0x6C => "cancelled on the terminal or timed out",
        0x6E => "card blocked",
        0x6F | 0xC6 => "wrong currency",
        0x71 => "not enough money",
        0x72 => "chip error",
        0x73 => "card data wrong",
        0x77 => "end of day not possible",
        0x78 => "card expired",
        0x79 => "card not yet valid",
        0x7A => "card unknown",
        0x7D | 0xA1 | 0xA3 | 0x9B => "no connection to the bank",
        0x83 => "not possible or not supported",
        0x85 => "key missing",
        0x89 | 0xEC | 0xED => "PIN pad defective",
        0x9A => "transfer protocol error",
        0x9C => "please wait",
        0xA0 => "not ready",
        0xB1 | 0xB2 => "memory full",
        0xB4 => "already reversed",
        0xB5 => "reversal not possible",
        0xC2 => "diagnosis required",
        0xC3 => "sum too large",
        0xC8 | 0xC9 => "sum too small",
        0xCC => "printer not ready",
        0xF0 => "end of day is open",
        0xFF => "system error",
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_one_and_of_three_bytes() {
        for (count, head) in [(0, 3), (254, 3), (255, 5), (861, 5), (0xFFFF, 5)] {
            let apdu = Apdu::new(PRINT_BLOCK, &vec![0x41; count]);
            let bytes = apdu.to_bytes();
            assert_eq!(bytes.len(), head + count);
            assert_eq!(Apdu::from_bytes(&bytes), Some(apdu));
            assert_eq!(Apdu::from_bytes(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(Apdu::new(PRINT_BLOCK, &vec![0; 861]).to_bytes()[..5], [0x06, 0xD3, 0xFF, 0x5D, 0x03]);
    }

    #[test]
    fn decimals_are_packed() {
        assert_eq!(bcd::<6>(1_240_000), Some([0, 0, 0x01, 0x24, 0, 0]));
        assert_eq!((bcd::<2>(398), bcd::<2>(10_000), bcd::<2>(-1)), (Some([0x03, 0x98]), None, None));
        assert_eq!((number(&[0x03, 0x98]), number(&[0x3A])), (Some(398), None));
        assert_eq!(Password::parse("012345"), Some(Password([0x01, 0x23, 0x45])));
        assert_eq!((Password::parse("12345"), Password::parse("12345x")), (None, None));
        assert_eq!((payment(Tiyn(0), [3, 0x98]), payment(Tiyn(AMOUNT_MAX + 1), [3, 0x98])), (None, None));
    }

    #[test]
    fn an_unknown_field_hides_what_follows_it() {
        let known = [0x27, 0x00, 0x04, 0, 0, 0, 0, 0x50, 0x00, 0x87, 0x00, 0x42];
        let read = StatusInfo::read(&known);
        assert_eq!((read.result, read.amount, read.receipt), (Some(0), Some(Tiyn(5000)), Some(42)));
        assert!(read.is_whole);
        let hidden = StatusInfo::read(&[&known[..2], &[0x99], &known[2..]].concat());
        assert_eq!((hidden.result, hidden.amount, hidden.is_whole), (Some(0), None, false));
        let contradiction = StatusInfo::read(&[&[0x27, 0x05], &known[..]].concat());
        assert_eq!((contradiction.result, contradiction.amount), (Some(5), None));
    }

    #[test]
    fn texts_and_cards() {
        let data = [
            0x22, 0xF0, 0xF8, 0x44, 0x00, 0x43, 0xEE, 0xEE, 0xEE, 0x12, 0x34, 0x8B, 0xF0, 0xF4, b'V', b'I', b'S', b'A',
            0x3C, 0xF0, 0xF0, 0xF2, b'O', b'K', 0x06, 0x03, 0x1F, 0x12, 0x00, 0x49, 0x03, 0x98,
        ];
        let read = StatusInfo::read(&data);
        let texts = [&read.card_end, &read.card_name, &read.text].map(|text| text.clone().unwrap());
        assert_eq!(texts, ["1234", "VISA", "OK"]);
        assert_eq!((read.currency, read.is_whole), (Some(398), true));
        let masked = StatusInfo::read(&[0x22, 0xF0, 0xF2, 0x44, 0xEE]);
        assert_eq!(masked.card_end, None);
        let block = [0x06, 0x0C, 0x1F, 0x07, 0x01, 0x03, 0x25, 0x06, 0x07, 0x01, b'A', 0x07, 0x01, b'B'];
        assert_eq!(block_lines(&block), ["A", "B"]);
    }
}
