//! Printer language.
/// What a printer model can do.
#[derive(Clone, Debug)]
pub struct Profile;
