//! The reference model: what the world truly did. Guests with money, a terminal that truly charges, a cloud with invoices, a POS with its
//! orders, printers with their paper, a bot. It knows nothing of the ledger; the laws compare the two.

use super::engine::{Hand, Life, WORLD};
use super::plan::{Kind, Plan, mix};
use axum::Router;
use kassad::domain::money::Tiyn;
use kassad::domain::order::{Line, Milli, PosOrder, PosStanding, Snapshot};
use kassad::host::clock::{Clock, Monotonic};
use kassad::host::tasks::StopHand;
use kassad::ledger::Fault;
use kassad::workers::Office;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tower::ServiceExt;

/// Lines of the trace that are kept.
const TRACE_MAX: usize = 5_000;

/// With what the cloud signs its notices.
pub const SECRET: &str = "whsec_simulation";

/// The key of the bot.
pub const BOT_KEY: &str = "sk_simulation";

/// The world with its clock and its daemon.
#[derive(Clone)]
pub struct Sim(pub Arc<Inner>);

pub struct Inner {
    pub clock: Clock,
    pub hand: Hand,
    pub plan: Plan,
    world: Mutex<World>,
    running: Mutex<Option<Running>>,
}

/// The daemon of the present life, as the world meets it.
pub struct Running {
    pub life: Life,
    pub office: Office,
    pub local: Router,
    pub public: Router,
    pub stop: StopHand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Waits,
    Paid,
    Failed,
    Expired,
}

/// An amount on a terminal.
#[derive(Clone, Debug)]
pub struct Operation {
    pub reference: String,
    pub amount: Tiyn,
    pub act: Act,
    pub transaction: String,
    /// Until then the terminal itself does not know.
    pub unclear_until: Monotonic,
    /// A reboot took the process from its memory; its paper history is still there.
    pub is_forgotten: bool,
    /// The transaction that goes back, when it is a refund.
    pub gives_back: Option<String>,
}

/// A request to a guest's phone.
#[derive(Clone, Debug)]
pub struct Invoice {
    pub reference: String,
    pub amount: Tiyn,
    pub paid: Tiyn,
    pub act: Act,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Open,
    Closed(Tiyn, Tiyn),
    Removed,
}

/// An order of the POS or of the bot.
#[derive(Clone, Debug)]
pub struct Sale {
    pub number: String,
    pub lines: Vec<Line>,
    pub standing: Standing,
    /// Closes that we asked for and that happened.
    pub closes: u32,
    pub is_bots: bool,
    /// Dishes that were ever in it, by name: never more may be cooked.
    pub dishes: BTreeMap<String, i64>,
    /// What the last read showed to us, and what all of them did.
    pub shown_due: Tiyn,
    pub shown: BTreeSet<Tiyn>,
    /// Cash in the till for it, and money given back.
    pub cash: Tiyn,
    pub back: Tiyn,
    /// What of it was for dishes brought back after the close, and what of that the books of the POS say.
    pub returned: Tiyn,
    pub pos_returned: Tiyn,
}

impl Sale {
    pub fn due(&self) -> Tiyn {
        self.lines.iter().map(|line| line.sum).sum()
    }

    pub fn snapshot(&self, id: &str) -> Snapshot {
        Snapshot {
            foreign_id: id.to_owned(),
            number: self.number.clone(),
            table: "5".to_owned(),
            waiter: "Мария".to_owned(),
            due: self.due(),
            lines: self.lines.clone(),
            comment: String::new(),
        }
    }

    pub fn add(&mut self, line: Line) {
        self.lines.push(line);
        self.note_dishes();
    }

    pub fn note_dishes(&mut self) {
        let mut now: BTreeMap<String, i64> = BTreeMap::new();
        self.lines.iter().for_each(|line| *now.entry(line.name.clone()).or_default() += line.quantity.0);
        for (dish, quantity) in now {
            let most = self.dishes.entry(dish).or_default();
            *most = quantity.max(*most);
        }
    }
}

/// Money that truly moved.
#[derive(Clone, Debug)]
pub struct Charge {
    pub reference: String,
    pub amount: Tiyn,
    /// After its end was on record, or against what a person had said: nobody here could prevent another one.
    pub is_late: bool,
}

/// Money that truly went back to a guest.
#[derive(Clone, Debug)]
pub struct Given {
    /// Of the refund, and of the payment.
    pub reference: String,
    pub payment: String,
    pub amount: Tiyn,
}

/// A piece of paper.
#[derive(Clone, Debug)]
pub struct Paper {
    pub printer: &'static str,
    pub job: i64,
    pub is_repeat: bool,
    pub is_whole: bool,
}

#[derive(Default)]
pub struct World {
    pub operations: BTreeMap<String, Operation>,
    pub screens: [Option<String>; 2],
    pub by_hand_until: [Monotonic; 2],
    pub tap_until: [Monotonic; 2],
    pub invoices: BTreeMap<String, Invoice>,
    pub sales: BTreeMap<String, Sale>,
    pub charges: Vec<Charge>,
    pub given: Vec<Given>,
    pub papers: Vec<Paper>,
    pub heard: Vec<(String, String)>,
    pub register: super::register::Model,
    /// Orders whose guest's notes are in the cashier's hand and not in our books yet.
    pub in_hand: BTreeSet<String>,
    /// Orders of which the POS knows that they are registered, and that they were given back.
    pub marked: BTreeSet<(String, bool)>,
    /// Which order a reference belongs to, learnt from committed rows.
    pub orders_of: BTreeMap<String, String>,
    /// Requests that were acted on, by what they are.
    pub acted: BTreeMap<String, u32>,
    /// Requests that still travel, by reference.
    pub travels: BTreeMap<String, u32>,
    /// Attempts of which a person said "not paid".
    pub denied: BTreeSet<String>,
    /// What was made up for in cash when a person said "paid", by reference; below zero when it was handed out.
    pub made_up: BTreeMap<String, Tiyn>,
    pub down_until: BTreeMap<String, Monotonic>,
    pub is_calm: bool,
    pub is_dead: bool,
    pub commits: u64,
    pub steps: u64,
    pub open_sales: u32,
    /// World's own affairs that are not over: guests who think, notices on their way.
    pub affairs: u32,
    pub violations: Vec<String>,
    pub seen: BTreeMap<String, u64>,
    pub trace: VecDeque<String>,
    streams: BTreeMap<String, u64>,
    made: u64,
}

impl World {
    /// Whether money went more than the law allows is judged at the moment it moves.
    pub fn charge(&mut self, reference: &str, amount: Tiyn, is_late: bool) {
        let part = |reference: &str| reference.rsplit_once('-').map(|(part, _)| part.to_owned()).unwrap_or_default();
        let is_late = is_late || self.denied.contains(reference);
        let same: Vec<&Charge> =
            self.charges.iter().filter(|charge| part(&charge.reference) == part(reference)).collect();
        let is_denied = |charge: &&Charge| charge.is_late || self.denied.contains(&charge.reference);
        let is_excused = is_late || same.iter().any(is_denied);
        if !same.is_empty() && (!is_excused || same.iter().any(|charge| charge.reference == reference)) {
            self.violate(format!("charged twice: {reference}, after {same:?}"));
        }
        self.charges.push(Charge { reference: reference.to_owned(), amount, is_late });
    }

    /// Money goes back: never more than was paid, and once for what the guest brought back.
    pub fn give(&mut self, reference: &str, payment: &str, amount: Tiyn) {
        let id = self.orders_of[payment].clone();
        let same: Vec<Given> = self.given.iter().filter(|given| given.payment == payment).cloned().collect();
        if !same.is_empty() {
            self.violate(format!("given back twice: {reference}, after {same:?}"));
        }
        let sale = self.sales.get_mut(&id).unwrap();
        sale.back = Tiyn(sale.back.0 + amount.0);
        sale.returned = Tiyn(sale.returned.0 + amount.0);
        self.given.push(Given { reference: reference.to_owned(), payment: payment.to_owned(), amount });
        self.tell(&format!("{amount} of {payment} went back by {reference}"));
    }

    /// What an attempt truly brought.
    pub fn charged(&self, reference: &str) -> Tiyn {
        self.charges.iter().filter(|charge| charge.reference == reference).map(|charge| charge.amount).sum()
    }

    /// What an order truly brought: all charges and cash, less what was given back.
    pub fn net(&self, id: &str) -> Tiyn {
        let of = |charge: &&Charge| self.orders_of.get(&charge.reference).is_some_and(|order| order == id);
        let charged: Tiyn = self.charges.iter().filter(of).map(|charge| charge.amount).sum();
        let sale = &self.sales[id];
        Tiyn(charged.0 + sale.cash.0 - sale.back.0)
    }

    /// What an order should bring.
    pub fn owed(&self, id: &str) -> Tiyn {
        let sale = &self.sales[id];
        match sale.standing {
            Standing::Open => sale.due(),
            Standing::Closed(cash, cashless) => Tiyn(cash.0 + cashless.0 - sale.returned.0),
            Standing::Removed => Tiyn::ZERO,
        }
    }

    pub fn violate(&mut self, what: String) {
        self.tell(&format!("VIOLATION {what}"));
        self.violations.push(what);
    }

    pub fn tell(&mut self, what: &str) {
        if self.trace.len() >= TRACE_MAX {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("step {} {what}", self.steps));
    }

    pub fn note(&mut self, what: String) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub fn name(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{}", self.made)
    }

    /// A request was acted on; the second time is one too many.
    pub fn acted_once(&mut self, what: String) {
        let count = self.acted.entry(what.clone()).or_default();
        *count += 1;
        if *count > 1 {
            self.violate(format!("done twice: {what}"));
        }
    }
}

impl Sim {
    pub fn new(clock: Clock, plan: Plan) -> Sim {
        Sim(Arc::new(Inner { clock, hand: Hand::default(), plan, world: Mutex::default(), running: Mutex::default() }))
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap()
    }

    pub fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.running.lock().unwrap()
    }

    pub fn now(&self) -> Monotonic {
        self.0.clock.now()
    }

    pub async fn sleep_ms(&self, ms: u64) {
        self.0.clock.sleep(Duration::from_millis(ms)).await;
    }

    /// A number from 0 up to, without, `below`, from the stream of this name.
    pub fn pick(&self, stream: &str, below: u64) -> u64 {
        let count = {
            let mut world = self.world();
            let count = world.streams.entry(stream.to_owned()).or_default();
            *count += 1;
            *count
        };
        let name = stream.bytes().fold(7_u64, |name, byte| name.wrapping_mul(31).wrapping_add(u64::from(byte)));
        mix(self.0.plan.seed, mix(name, count)) % below.max(1)
    }

    pub fn between(&self, stream: &str, from: u64, to: u64) -> u64 {
        from + self.pick(stream, to - from)
    }

    /// Whether a misfortune strikes now.
    pub fn strikes(&self, kind: Kind) -> bool {
        let drawn = self.pick(&kind.name(), 1_000_000) < kind.chance();
        let plan = &self.0.plan;
        let mut world = self.world();
        let strikes = drawn && !world.is_calm && !plan.off.contains(&kind) && self.now().0 < plan.calm_at;
        if strikes {
            world.note(format!("fault {}", kind.name()));
            if kind != Kind::Slow {
                world.tell(&kind.name());
            }
        }
        strikes
    }

    /// A task of the world: it goes on whatever becomes of the daemon.
    pub fn affair(&self, affair: impl Future<Output = ()> + Send + 'static) {
        self.world().affairs += 1;
        let sim = self.clone();
        self.0.hand.start(WORLD, async move {
            affair.await;
            sim.world().affairs -= 1;
        });
    }

    /// One more moment at which the power may go: around commits, and at both ends of every exchange.
    pub fn step(&self) {
        self.world().steps += 1;
        if self.strikes(Kind::Kill) {
            self.world().is_dead = true;
        }
    }

    /// Calls a face of the daemon without a socket; `None` when it dies, or is not there.
    pub async fn call(&self, public: bool, path: &str, headers: &[(&str, &str)], body: String) -> Option<(u16, Value)> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        {
            let running = self.running();
            let running = running.as_ref()?;
            let router = if public { running.public.clone() } else { running.local.clone() };
            let mut request = axum::http::Request::post(path).header("host", "localhost");
            for (name, value) in headers.iter().chain(&[("content-type", "application/json")]) {
                request = request.header(*name, *value);
            }
            let here = kassad::http::Peer(std::net::SocketAddr::from(([127, 0, 0, 1], 1)));
            let request = request.extension(here).body(axum::body::Body::from(body)).unwrap();
            self.0.hand.start(running.life, async move {
                let Ok(response) = router.oneshot(request).await;
                let status = response.status().as_u16();
                let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
                let _told = answer.send((status, serde_json::from_slice(&bytes).unwrap_or_default()));
            });
        }
        answered.await.ok()
    }

    /// Looks into the ledger through the daemon that runs; `None` without one.
    pub fn look<T>(&self, question: impl FnOnce(kassad::ledger::View<'_>) -> Result<T, Fault>) -> Option<T> {
        let office = self.running().as_ref()?.office.clone();
        office.look(question).ok()
    }
}

/// What the POS shows of an order.
pub fn pos_order(id: &str, sale: &Sale) -> PosOrder {
    let standing = match sale.standing {
        Standing::Open => PosStanding::Open,
        Standing::Closed(cash, cashless) => PosStanding::Closed { cash, cashless, other: Tiyn::ZERO },
        Standing::Removed => PosStanding::Removed,
    };
    PosOrder { snapshot: sale.snapshot(id), standing }
}

pub fn tenge(tenge: u64) -> Tiyn {
    Tiyn::from_tenge(tenge as i64).unwrap()
}

/// A dish of the menu: the even ones are hot, the others from the bar.
pub fn dish(no: u64, quantity: u64) -> Line {
    let name = ["Плов", "Чай", "Лагман", "Айран", "Манты", "Кофе", "Бешбармак", "Сок"][(no % 8) as usize];
    Line {
        key: format!("dish-{}", no % 8),
        name: name.to_owned(),
        modifiers: Vec::new(),
        quantity: Milli(quantity as i64 * 1000),
        sum: tenge((700 + 100 * (no % 8)) * quantity),
        workshop: Some(if no.is_multiple_of(2) { "1" } else { "2" }.to_owned()),
        comment: String::new(),
        unit: None,
        vat: None,
    }
}
