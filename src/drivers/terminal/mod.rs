//! Card and QR devices at the counter.

pub mod kaspi_smart_pos;
pub mod zvt;
