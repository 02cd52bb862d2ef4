//! The cash register's model behind the true trait: it keeps receipts by their keys, closes its shifts, loses its operator and its temper.
//! What it is told is judged at once; what it holds is compared with the payments at the end (paid is registered, once; returns too).

use super::drivers::{Call, exchange, outcome};
use super::plan::{Kind, Mutant};
use super::world::{Sim, World};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kassad::domain::fiscal::{Basis, Bill, Register, Registered, ShiftReport, Side, Turnover};
use kassad::domain::money::Tiyn;
use kassad::domain::order::Tender;
use kassad::domain::outcome::{Outcome, Reason};
use kassad::domain::paper::ReportKind;
use kassad::drivers::{Entry, Filing, Fiscal, FiscalAbilities, Health, RegisterState, Reported};
use kassad::flows::{FiscalRules, Issuer};
use kassad::host::clock::Monotonic;
use kassad::host::ids::Ids;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A shift of the model; a day of the simulation is a few hours long.
const SHIFT: Duration = Duration::from_secs(40 * 60);

/// The register's own name in the configuration.
pub const NAME: &str = "kassa";

/// What the driver sends: all that the model needs to judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Request {
    key: String,
    bill: Bill,
    basis: Option<Basis>,
}

/// A receipt that has its sign.
#[derive(Clone, Debug)]
pub struct Held {
    request: String,
    bill: Bill,
    basis: Option<String>,
    answer: Registered,
    shift: u64,
}

#[derive(Debug, Default)]
pub struct Model {
    pub receipts: Vec<Held>,
    keys: BTreeMap<(u64, String), usize>,
    shift: u64,
    opened: Option<Monotonic>,
    stopped_until: Monotonic,
    autonomous_until: Monotonic,
}

/// The rules of a day: who issues what differs from seed to seed, and some shops have no register at all.
pub fn rules(seed: u64) -> FiscalRules {
    let external: &[Tender] = match seed % 4 {
        0 => return FiscalRules::nothing(),
        1 => &[],
        2 => &[Tender::KaspiInvoice],
        _ => &[Tender::KaspiTerminal],
    };
    FiscalRules {
        register: Some(NAME.to_owned()),
        issuers: external.iter().map(|tender| (*tender, Issuer::External)).collect(),
        issued_by: "Kaspi".to_owned(),
        vat: kassad::domain::fiscal::Vat(Some(16)),
        ..FiscalRules::nothing()
    }
}

pub struct Kassa {
    pub sim: Sim,
    pub ids: Ids,
}

impl Kassa {
    /// Some registers look for the key first, some for the age of the shift; some know a key within its shift only.
    fn keys_by_shift(&self) -> bool {
        self.sim.0.plan.seed % 8 == 5
    }

    fn silent_about_known(&self) -> bool {
        self.sim.0.plan.seed % 3 == 1
    }
}

impl Fiscal for Kassa {
    fn abilities(&self) -> FiscalAbilities {
        FiscalAbilities { is_test: false, is_local: false }
    }

    fn compose(&self, entry: &Entry<'_>) -> Result<String, Reason> {
        match entry {
            Entry::Bill { key, bill, basis } => {
                bill.check().map_err(|bad| Reason::new("fiscal_bill", bad))?;
                let request = Request { key: (*key).to_owned(), bill: (*bill).clone(), basis: basis.cloned() };
                Ok(serde_json::to_string(&request).unwrap())
            }
            Entry::Cash { .. } => panic!("nobody moves cash in this day"),
        }
    }

    fn file<'a>(&'a self, request: &'a str) -> BoxFuture<'a, Outcome<Filing>> {
        async move {
            let mut read: Request = serde_json::from_str(request).unwrap();
            must_be_bound(&self.sim, &read.key, request);
            if self.sim.0.plan.mutant == Some(Mutant::RegistersTwice) {
                // A key made at each try, as careless integrations do.
                read.key = self.ids.uuid();
            }
            let request = serde_json::to_string(&read).unwrap();
            let (by_shift, silent) = (self.keys_by_shift(), self.silent_about_known());
            let call = Call::act("register", "file", &read.key);
            let said = exchange(&self.sim, call, move |sim| file(sim, &read, &request, by_shift, silent)).await;
            outcome(&self.sim, said, |answer| answer)
        }
        .boxed()
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Outcome<Option<Box<Registered>>>> {
        async move {
            let wanted = key.to_owned();
            let said = exchange(&self.sim, Call::read("register", "find"), move |sim| {
                let world = sim.world();
                let found = world.register.keys.iter().find(|((_, key), _)| *key == wanted);
                found.map(|(_, place)| Box::new(world.register.receipts[*place].answer.clone()))
            })
            .await;
            outcome(&self.sim, said, Outcome::Done)
        }
        .boxed()
    }

    fn report(&self, kind: ReportKind) -> BoxFuture<'_, Outcome<Reported>> {
        async move {
            let said = exchange(&self.sim, Call::act("register", "report", "shift"), move |sim| {
                let mut world = sim.world();
                let shift = world.register.shift;
                if world.register.opened.is_none() {
                    return Reported::NoShift;
                }
                if kind == ReportKind::Z {
                    world.register.opened = None;
                    world.tell("the shift was closed");
                }
                Reported::Report(Box::new(report(kind, shift)))
            })
            .await;
            outcome(&self.sim, said, Outcome::Done)
        }
        .boxed()
    }

    fn closed_report(&self, shift: u64) -> BoxFuture<'_, Outcome<Option<Box<ShiftReport>>>> {
        async move {
            let call = Call::read("register", "closed report");
            let said = exchange(&self.sim, call, move |_| Some(Box::new(report(ReportKind::Z, shift)))).await;
            outcome(&self.sim, said, Outcome::Done)
        }
        .boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Outcome<RegisterState>> {
        async move {
            let said = exchange(&self.sim, Call::read("register", "probe"), |_| ()).await;
            let state = RegisterState { health: Health::Good, shift: None, is_autonomous: false };
            outcome(&self.sim, said, |()| Outcome::Done(state))
        }
        .boxed()
    }
}

/// Before a document leaves, its key and its request are durable, and they are what leaves (I2).
fn must_be_bound(sim: &Sim, key: &str, request: &str) {
    let bound = sim.look(|view| {
        let rows = view.fiscal_open(NAME, u32::MAX)?;
        Ok(rows.iter().any(|row| row.key.as_deref() == Some(key) && row.request.as_deref() == Some(request)))
    });
    if bound == Some(false) {
        sim.world().violate(format!("document {key} leaves and is not on record"));
    }
}

/// The register takes a document, or says why not.
fn file(sim: &Sim, request: &Request, text: &str, by_shift: bool, silent: bool) -> Outcome<Filing> {
    let why = |code: &str| Reason::new(code, "");
    let (stops, refuses, alone) =
        (sim.strikes(Kind::RegisterStops), sim.strikes(Kind::RegisterRefuses), sim.strikes(Kind::RegisterAlone));
    let (now, pause_ms) = (sim.now(), sim.between("register stopped", 20_000, 400_000));
    let mut world = sim.world();
    if stops {
        world.register.stopped_until = now.plus(Duration::from_millis(pause_ms));
    }
    if alone {
        world.register.autonomous_until = now.plus(Duration::from_millis(pause_ms));
    }
    if world.register.stopped_until > now && !world.is_calm {
        return Outcome::Done(Filing::Stopped(why("fiscal_blocked")));
    }
    let is_old = world.register.opened.is_some_and(|opened| now.since(opened) > SHIFT);
    let scope = if by_shift { world.register.shift } else { 0 };
    let known = world.register.keys.get(&(scope, request.key.clone())).copied();
    // Which of the two a register looks at first is told nowhere.
    if is_old && (known.is_none() || sim.0.plan.seed.is_multiple_of(2)) {
        return Outcome::Done(Filing::ShiftOver(why("fiscal_shift_over")));
    }
    if let Some(place) = known {
        let held = world.register.receipts[place].clone();
        if held.request != text {
            world.violate(format!("another document under the key {}", request.key));
        }
        return if silent { Outcome::Done(Filing::Known(why("fiscal_known"))) } else { registered(held.answer) };
    }
    if refuses {
        return Outcome::Refused(why("fiscal_invalid"));
    }
    if let Err(bad) = request.bill.check() {
        world.violate(format!("a bill that is wrong: {bad}"));
    }
    judge_return(&mut world, request);
    if sim.0.plan.mutant == Some(Mutant::ForgetsReturns) && request.bill.side == Side::Return {
        return registered(Registered { sign: format!("forgotten {}", request.key), ..sign(&world, request, now) });
    }
    if world.register.opened.is_none() {
        world.register.opened = Some(now);
        world.register.shift += 1;
    }
    let answer = sign(&world, request, now);
    world.tell(&format!("registered {:?} {} as {}", request.bill.side, request.bill.total, answer.sign));
    let (shift, place) = (world.register.shift, world.register.receipts.len());
    let scope = if by_shift { shift } else { 0 };
    world.register.keys.insert((scope, request.key.clone()), place);
    world.register.receipts.push(Held {
        request: text.to_owned(),
        bill: request.bill.clone(),
        basis: request.basis.as_ref().map(|basis| basis.sign.clone()),
        answer: answer.clone(),
        shift,
    });
    registered(answer)
}

fn registered(answer: Registered) -> Outcome<Filing> {
    Outcome::Done(Filing::Registered(Box::new(answer)))
}

/// A return names a receipt of this register letter by letter, and gives back no more than is left of it.
fn judge_return(world: &mut World, request: &Request) {
    if (request.bill.side == Side::Return) != request.basis.is_some() {
        world.violate("a return without its receipt, or a sale with one".to_owned());
    }
    let Some(basis) = &request.basis else { return };
    let same = world.register.receipts.iter().find(|held| held.answer.sign == basis.sign);
    let is_same = same.is_some_and(|held| {
        held.answer.at == basis.at
            && held.bill.total == basis.total
            && held.answer.register.registration == basis.registration
            && held.answer.is_autonomous == basis.is_autonomous
    });
    let back = world.register.receipts.iter().filter(|held| held.basis.as_ref() == Some(&basis.sign));
    let back: i64 = back.map(|held| held.bill.total.0).sum();
    if !is_same || back + request.bill.total.0 > basis.total.0 {
        world.violate(format!("a return of {} of a receipt over {}, after {back}", request.bill.total, basis.total));
    }
}

fn sign(world: &World, request: &Request, now: Monotonic) -> Registered {
    let number = world.register.receipts.len() as u64 + 1;
    let is_alone = world.register.autonomous_until > now && !world.is_calm;
    Registered {
        sign: format!("{}", 1_000_000_000_000 + number),
        number,
        shift: world.register.shift,
        at: format!("21.11.2026 {:06}", now.0.as_secs()),
        total: Some(request.bill.total),
        is_autonomous: is_alone,
        is_register_autonomous: is_alone,
        qr: format!("http://example.kz/?i={number}"),
        register: Register { registration: "600400000001".to_owned(), ..Register::default() },
        lines: Vec::new(),
    }
}

fn report(kind: ReportKind, shift: u64) -> ShiftReport {
    ShiftReport {
        kind,
        register: Register::default(),
        shift,
        number: shift,
        documents: 0,
        opened: String::new(),
        made: String::new(),
        closed: String::new(),
        sales: Turnover::default(),
        purchases: Turnover::default(),
        sale_returns: Turnover::default(),
        purchase_returns: Turnover::default(),
        put_in: Tiyn::ZERO,
        taken_out: Tiyn::ZERO,
        in_drawer: Tiyn::ZERO,
        at_start: Default::default(),
        at_end: Default::default(),
        control: String::new(),
        is_autonomous: false,
    }
}

impl Held {
    pub fn sign(&self) -> &str {
        &self.answer.sign
    }

    pub fn total(&self) -> Tiyn {
        self.bill.total
    }

    pub fn side(&self) -> Side {
        self.bill.side
    }

    pub fn shift(&self) -> u64 {
        self.shift
    }
}
