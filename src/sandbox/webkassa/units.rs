//! Units of measure of the operators' protocol (fiscal-kz §1.10): those that a restaurant may meet.

use serde_json::{Value, json as object};

/// A unit of measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub code: i64,
    pub kk: &'static str,
    pub ru: &'static str,
}

const fn unit(code: i64, ru: &'static str, kk: &'static str) -> Unit {
    Unit { code, kk, ru }
}

const UNITS: [Unit; 25] = [
    unit(796, "шт", "дана"),
    unit(166, "кг", "кг"),
    unit(163, "г.", "г."),
    unit(112, "литр", "литр"),
    unit(111, "мл", "мл"),
    unit(868, "бутылка", "бөтелке"),
    unit(5114, "одн.усл.", "бір қызмет"),
    unit(778, "упак.", "орама"),
    unit(839, "комплект", "жиынтық"),
    unit(704, "набор", "жиынтық"),
    unit(715, "пара", "жұп"),
    unit(356, "час", "сағат"),
    unit(792, "чел.", "адам"),
    unit(812, "ящик", "жәшік"),
    unit(879, "штука условная", "шартты дана"),
    unit(6, "м", "м"),
    unit(55, "м2", "м2"),
    unit(113, "м3", "м3"),
    unit(168, "т", "т"),
    unit(359, "сутки", "сутки"),
    unit(362, "месяц", "месяц"),
    unit(625, "лист", "лист"),
    unit(736, "рулон", "рулон"),
    unit(5111, "одн.пач", "одн.пач"),
    unit(797, "100 шт", "100 шт"),
];

/// The unit of a code.
pub(super) fn find(code: i64) -> Option<Unit> {
    UNITS.iter().find(|unit| unit.code == code).copied()
}

/// The reference book of units.
pub(super) fn listed() -> Value {
    UNITS.iter().map(|unit| object!({"Code": unit.code, "NameRu": unit.ru, "NameKz": unit.kk})).collect()
}
