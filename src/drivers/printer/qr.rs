//! QR codes for paper (escpos §3.6): which size fits, and their dots with the quiet zone. A text that fits on no code of this paper is
//! printed as text by the layout, never left out.

use super::raster::Picture;
use super::{Profile, QrForm};
use qrcodegen::{QrCode, QrCodeEcc};

/// The longest text of a code in bytes: what is longer is read badly from paper.
pub const QR_BYTES_MAX: usize = 512;
/// White modules at each side.
const QUIET: usize = 4;
/// The least dots of a module that phones read well at 203 dpi.
const MODULE_DOTS_MIN: usize = 3;
/// The most dots of a module (`GS ( k` function 167 knows 1 to 16).
const MODULE_DOTS_MAX: usize = 12;
/// The wished width of the code itself: 30 mm at 203 dpi.
const CODE_DOTS: usize = 240;

/// A code that fits the paper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// What a phone reads; no control character.
    pub text: String,
    /// Dots of a module.
    pub module: usize,
    /// Who draws it.
    pub form: QrForm,
}

impl Code {
    /// The code of a text for a printer; `None` when it is empty, too long or too wide for its paper.
    pub fn fit(text: &str, form: QrForm, profile: &Profile) -> Option<Code> {
        let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
        if text.is_empty() || text.len() > QR_BYTES_MAX {
            return None;
        }
        let side = side(&encoded(&text)?);
        let widest = profile.dots / (side + 2 * QUIET);
        let module = CODE_DOTS.div_ceil(side).clamp(MODULE_DOTS_MIN, MODULE_DOTS_MAX).min(widest);
        (module >= MODULE_DOTS_MIN).then_some(Code { text, module, form })
    }

    /// Its dots with the quiet zone; `None` for a text that no code holds.
    pub fn picture(&self) -> Option<Picture> {
        let code = encoded(&self.text)?;
        let side = side(&code) + 2 * QUIET;
        let mut picture = Picture::white(side * self.module, side * self.module);
        let is_dark = |x: usize, y: usize| {
            let place = |at: usize| i32::try_from(at).unwrap_or(i32::MAX) - QUIET as i32;
            code.get_module(place(x / self.module), place(y / self.module))
        };
        for y in 0..side * self.module {
            for x in (0..side * self.module).filter(|x| is_dark(*x, y)) {
                picture.ink(x, y);
            }
        }
        Some(picture)
    }

    /// The bytes that let the printer draw it: model 2, level M. The crate's own default is model 1, which few phones read (escpos §1).
    pub fn native(&self) -> Vec<u8> {
        let module = u8::try_from(self.module).unwrap_or(u8::MAX);
        let [low, high] = u16::try_from(self.text.len() + 3).unwrap_or(u16::MAX).to_le_bytes();
        let mut bytes = Vec::with_capacity(self.text.len() + 40);
        bytes.extend([0x1D, 0x28, 0x6B, 4, 0, 0x31, 0x41, 0x32, 0]);
        bytes.extend([0x1D, 0x28, 0x6B, 3, 0, 0x31, 0x43, module]);
        bytes.extend([0x1D, 0x28, 0x6B, 3, 0, 0x31, 0x45, 0x31]);
        bytes.extend([0x1D, 0x28, 0x6B, low, high, 0x31, 0x50, 0x30]);
        bytes.extend(self.text.as_bytes());
        bytes.extend([0x1D, 0x28, 0x6B, 3, 0, 0x31, 0x51, 0x30]);
        bytes
    }
}

fn encoded(text: &str) -> Option<QrCode> {
    QrCode::encode_text(text, QrCodeEcc::Medium).ok()
}

fn side(code: &QrCode) -> usize {
    usize::try_from(code.size()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::printer::Letters;

    #[test]
    fn a_code_fits_its_paper_with_its_quiet_zone() {
        for profile in [Profile::wide(Letters::Pc866), Profile::narrow(Letters::Pc866)] {
            for length in [1, 60, 200, 320] {
                let code = Code::fit(&"k".repeat(length), QrForm::Raster, &profile);
                let picture = code.as_ref().and_then(Code::picture).unwrap_or_else(|| Picture::white(0, 0));
                let module = code.map_or(0, |code| code.module);
                assert!(picture.width() <= profile.dots && picture.width() >= 200, "{length}: {}", picture.width());
                let quiet = QUIET * module;
                assert!(
                    (0..picture.width()).all(|x| (0..quiet).all(|y| !picture.is_ink(x, y) && !picture.is_ink(y, x)))
                );
                // The corner of the first finder pattern.
                assert!(picture.is_ink(quiet, quiet) && picture.is_ink(quiet + 7 * module - 1, quiet));
            }
        }
    }

    #[test]
    fn what_fits_no_code_is_none() {
        let narrow = Profile::narrow(Letters::Pc866);
        assert_eq!(Code::fit("", QrForm::Raster, &narrow), None);
        assert_eq!(Code::fit(&"k".repeat(QR_BYTES_MAX + 1), QrForm::Raster, &narrow), None);
        assert_eq!(Code::fit("a\u{1B}@\nb", QrForm::Native, &narrow).map(|code| code.text), Some("a@b".to_owned()));
    }
}
