//! The QR code that a printer draws itself (`GS ( k`, escpos §3.6): settings, a store, and the drawing.

use super::strip::Dots;
use qrcodegen::{QrCode, QrCodeEcc};

/// The most bytes that a QR code holds.
const BYTES_MAX: usize = 7089;

/// What was set and stored.
#[derive(Clone, Debug)]
pub struct Symbol {
    model: u8,
    module_dots: usize,
    level: QrCodeEcc,
    data: Vec<u8>,
}

impl Default for Symbol {
    fn default() -> Symbol {
        Symbol { model: 0x32, module_dots: 3, level: QrCodeEcc::Low, data: Vec::new() }
    }
}

impl Symbol {
    /// Takes a setting or the text; the error says what is wrong with it.
    pub fn set(&mut self, told: &[u8]) -> Result<(), String> {
        match told {
            [0x31, 0x41, model @ (0x31 | 0x32), 0] => self.model = *model,
            [0x31, 0x43, dots @ 1..=16] => self.module_dots = usize::from(*dots),
            [0x31, 0x45, level @ 0x30..=0x33] => {
                self.level = match level {
                    0x30 => QrCodeEcc::Low,
                    0x31 => QrCodeEcc::Medium,
                    0x32 => QrCodeEcc::Quartile,
                    _ => QrCodeEcc::High,
                };
            }
            [0x31, 0x50, 0x30, data @ ..] if data.len() <= BYTES_MAX => self.data = data.to_vec(),
            _ => {
                return Err(format!("unsupported symbol {:02X?}", told.get(..told.len().min(8)).unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// The drawing and what it says.
    pub fn draw(&self) -> Result<(Dots, String), String> {
        if self.model == 0x31 {
            return Err("a QR code of model 1: phones do not read it".to_owned());
        }
        if self.data.is_empty() {
            return Err("a QR code without text".to_owned());
        }
        let code = QrCode::encode_binary(&self.data, self.level).map_err(|problem| problem.to_string())?;
        let modules = usize::try_from(code.size()).unwrap_or_default();
        let side = |module: usize| i32::try_from(module).unwrap_or(-1);
        let mut dots = Dots::white(modules, modules);
        for y in 0..modules {
            for x in 0..modules {
                dots.set(x, y, code.get_module(side(x), side(y)));
            }
        }
        Ok((dots.scaled(self.module_dots, self.module_dots), String::from_utf8_lossy(&self.data).into_owned()))
    }
}
