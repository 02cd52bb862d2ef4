//! The cashbox itself: receipts under their keys, the shift that opens with the first document, the drawer, the operator that may be
//! away. Every document goes through one gate of rules (fiscal-kz §1.9, §1.13); the ages of shift and absence are monotonic.

use super::check::{Basis, Check};
use super::envelope::{
    AWAY_TOO_LONG, BLOCKED, Body, KEY_KNOWN, NEVER_AUTONOMOUS, NO_CASH, NO_LICENCE, NO_OPEN_SHIFT, Refusal,
    SHIFT_CLOSED, SHIFT_TOO_LONG, invalid, refusal,
};
use super::{AUTONOMOUS_MAX, SHIFT_MAX, WebkassaOptions};
use crate::domain::fiscal::Side;
use crate::domain::money::Tiyn;
use crate::domain::paper::ReportKind;
use crate::domain::time::Wall;
use crate::host::clock::Monotonic;
use crate::host::ids::Ids;
use crate::sandbox::gate::shop_time;
use serde_json::Value;

/// Both clocks at one instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub wall: Wall,
    pub point: Monotonic,
}

/// A registered receipt.
#[derive(Clone, Debug)]
pub(super) struct Receipt {
    pub check: Check,
    pub asked: Body,
    pub sign: String,
    pub number: u64,
    pub shift: u64,
    pub at: Wall,
    pub is_autonomous: bool,
    pub is_uploaded: bool,
    pub times_asked: u32,
}

/// Cash that went into the drawer or out of it.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub key: String,
    pub asked: Body,
    pub is_in: bool,
    pub sum: Tiyn,
    pub shift: u64,
    pub at: Wall,
    pub times_asked: u32,
}

/// One period of the cashbox.
#[derive(Clone, Debug)]
pub(super) struct Shift {
    pub number: u64,
    pub opened: Wall,
    pub since: Monotonic,
    pub closed: Option<Wall>,
    /// Never-reset totals when it began: sales and returns of sales.
    pub ever: (Tiyn, Tiyn),
}

/// An X or Z report that was made.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub kind: ReportKind,
    pub shift: u64,
    pub at: Wall,
    pub data: Value,
}

/// What the cashbox holds.
#[derive(Debug, Default)]
pub(super) struct Till {
    pub receipts: Vec<Receipt>,
    pub moves: Vec<Move>,
    pub shifts: Vec<Shift>,
    pub reports: Vec<Report>,
    pub drawer: Tiyn,
    pub away_since: Option<Monotonic>,
    pub is_blocked: bool,
    pub is_unlicensed: bool,
}

/// The document that a key names already, and whether it was asked for with the same body.
pub(super) enum Recalled {
    /// A receipt, at this place of the list.
    Receipt { place: usize, is_same: bool },
    /// A movement of cash.
    Move { is_same: bool },
}

impl Receipt {
    /// Its time, as every answer writes it.
    pub(super) fn at_text(&self) -> String {
        told(self.at)
    }
}

/// The partner's way to write a time.
pub(super) fn told(wall: Wall) -> String {
    shop_time(wall, "%d.%m.%Y %H:%M:%S")
}

/// The same with the offset of the country.
pub(super) fn told_with_offset(wall: Wall) -> String {
    format!("{} +05:00", told(wall))
}

impl Till {
    /// The open shift.
    pub(super) fn open(&self) -> Option<&Shift> {
        self.shifts.last().filter(|shift| shift.closed.is_none())
    }

    /// Whether documents are autonomous now.
    pub(super) fn is_away(&self) -> bool {
        self.away_since.is_some()
    }

    /// The receipt of a key.
    pub(super) fn by_key(&self, key: &str) -> Option<&Receipt> {
        self.receipts.iter().find(|receipt| !key.is_empty() && receipt.check.key == key)
    }

    /// Puts the operator away or back; with it back everything is uploaded.
    pub(super) fn set_away(&mut self, is_away: bool, now: Now) {
        if is_away {
            self.away_since = self.away_since.or(Some(now.point));
        } else {
            self.away_since = None;
            self.receipts.iter_mut().for_each(|receipt| receipt.is_uploaded = true);
        }
    }

    /// Whether the cashbox works at all.
    pub(super) fn admit(&self) -> Result<(), Refusal> {
        if self.is_blocked {
            return Err(refusal(BLOCKED, "Касса заблокирована"));
        }
        if self.is_unlicensed {
            Err(refusal(NO_LICENCE, "Касса не активирована: нет действующей лицензии"))
        } else {
            Ok(())
        }
    }

    /// Finds the document that has the key of a request already, and counts the asking.
    pub(super) fn recall(&mut self, key: &str, asked: &Body) -> Option<Recalled> {
        if key.is_empty() {
            return None;
        }
        if let Some(place) = self.receipts.iter().position(|receipt| receipt.check.key == key) {
            let receipt = self.receipts.get_mut(place)?;
            receipt.times_asked += 1;
            return Some(Recalled::Receipt { place, is_same: receipt.asked == *asked });
        }
        let moved = self.moves.iter_mut().find(|moved| moved.key == key)?;
        moved.times_asked += 1;
        Some(Recalled::Move { is_same: moved.asked == *asked })
    }

    /// Registers a receipt that is right in itself.
    pub(super) fn register(
        &mut self,
        check: Check,
        asked: Body,
        options: &WebkassaOptions,
        ids: &Ids,
        now: Now,
    ) -> Result<usize, Refusal> {
        if let Some(basis) = &check.basis {
            self.check_basis(basis, check.total, options)?;
        }
        let cash = match check.side {
            Side::Sale => check.cash().0,
            Side::Return => -check.cash().0,
        };
        if options.refuses_refund_above_drawer && self.drawer.0 + cash < 0 {
            return Err(refusal(NO_CASH, "Недостаточно наличных в кассе для возврата"));
        }
        let shift = self.enter(options, now)?;
        let is_autonomous = self.is_away();
        let receipt = Receipt {
            sign: self.sign(is_autonomous, ids),
            number: 1 + u64::try_from(self.within(shift).count()).unwrap_or(0),
            shift,
            at: now.wall,
            is_autonomous,
            is_uploaded: !is_autonomous,
            times_asked: 1,
            check,
            asked,
        };
        self.drawer.0 += cash;
        self.receipts.push(receipt);
        Ok(self.receipts.len() - 1)
    }

    /// Moves cash; answers what is in the drawer then, and the shift.
    pub(super) fn shift_cash(
        &mut self,
        (key, asked): (String, Body),
        (is_in, sum): (bool, Tiyn),
        options: &WebkassaOptions,
        now: Now,
    ) -> Result<usize, Refusal> {
        if !is_in && sum > self.drawer {
            return Err(refusal(NO_CASH, "Недостаточно наличных в кассе"));
        }
        let shift = self.enter(options, now)?;
        self.drawer.0 += if is_in { sum.0 } else { -sum.0 };
        self.moves.push(Move { key, asked, is_in, sum, shift, at: now.wall, times_asked: 1 });
        Ok(self.moves.len() - 1)
    }

    /// Ends the open shift and tells which it was.
    pub(super) fn close(&mut self, now: Now) -> Result<u64, Refusal> {
        let shift = self.shifts.last_mut().ok_or_else(|| refusal(NO_OPEN_SHIFT, "Нет открытой смены"))?;
        if shift.closed.is_some() {
            return Err(refusal(SHIFT_CLOSED, "Смена уже закрыта"));
        }
        shift.closed = Some(now.wall);
        Ok(shift.number)
    }

    /// The shift of a number.
    pub(super) fn shift(&self, number: u64) -> Option<&Shift> {
        self.shifts.iter().find(|shift| shift.number == number)
    }

    /// The receipts of a shift, oldest first.
    pub(super) fn within(&self, shift: u64) -> impl Iterator<Item = &Receipt> {
        self.receipts.iter().filter(move |receipt| receipt.shift == shift)
    }

    /// Never-reset totals: sales and returns of sales.
    pub(super) fn ever(&self) -> (Tiyn, Tiyn) {
        let of = |side| self.receipts.iter().filter(move |one| one.check.side == side).map(|one| one.check.total).sum();
        (of(Side::Sale), of(Side::Return))
    }

    /// The rules of every document: 72 hours without the operator, 24 hours of shift; opens the shift. Answers its number.
    fn enter(&mut self, options: &WebkassaOptions, now: Now) -> Result<u64, Refusal> {
        if let Some(since) = self.away_since {
            if !options.allows_autonomous {
                return Err(refusal(NEVER_AUTONOMOUS, "Автономный режим не поддерживается кассой"));
            }
            if now.point.since(since) > AUTONOMOUS_MAX {
                return Err(refusal(AWAY_TOO_LONG, "Продолжительность автономного режима превышает 72 часа"));
            }
        }
        if let Some(shift) = self.open() {
            if now.point.since(shift.since) > SHIFT_MAX {
                return Err(refusal(
                    SHIFT_TOO_LONG,
                    "Продолжительность смены превышает 24 часа, необходимо снять Z-отчёт",
                ));
            }
            return Ok(shift.number);
        }
        let number = self.shifts.last().map_or(1, |shift| shift.number + 1);
        self.shifts.push(Shift { number, opened: now.wall, since: now.point, closed: None, ever: self.ever() });
        Ok(number)
    }

    fn check_basis(&self, basis: &Basis, total: Tiyn, options: &WebkassaOptions) -> Result<(), Refusal> {
        let sale = self.receipts.iter().find(|one| one.check.side == Side::Sale && one.sign == basis.sign);
        let Some(sale) = sale else {
            if options.accepts_unknown_basis {
                return Ok(());
            }
            return Err(invalid(format!("Чек-основание возврата {} не найден", basis.sign)));
        };
        let is_same = basis.at == sale.at_text()
            && basis.registration == options.registration
            && basis.total == sale.check.total
            && basis.is_offline == sale.is_autonomous;
        if !is_same && !options.accepts_unknown_basis {
            return Err(invalid(format!("Реквизиты основания возврата не совпадают с чеком {}", basis.sign)));
        }
        let is_of = |one: &&Receipt| one.check.basis.as_ref().is_some_and(|known| known.sign == basis.sign);
        let returned: Tiyn = self.receipts.iter().filter(is_of).map(|one| one.check.total).sum();
        if returned.0 + total.0 > sale.check.total.0 {
            return Err(invalid(format!("Сумма возвратов по чеку-основанию {} больше суммы чека", basis.sign)));
        }
        Ok(())
    }

    /// A fiscal sign that no receipt has: 13 digits of the operator, or 9 of the cashbox itself.
    fn sign(&self, is_autonomous: bool, ids: &Ids) -> String {
        let lowest: u64 = if is_autonomous { 100_000_000 } else { 1_000_000_000_000 };
        loop {
            let sign = (lowest + ids.below(9 * lowest)).to_string();
            if self.receipts.iter().all(|receipt| receipt.sign != sign) {
                return sign;
            }
        }
    }
}

/// What a known key is answered with.
pub(super) fn key_known(key: &str) -> Refusal {
    refusal(KEY_KNOWN, format!("Чек с внешним номером {key} уже присутствует в системе"))
}
