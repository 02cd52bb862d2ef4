//! The partners' models behind the true traits of drivers. Every exchange has a length in bytes; a loss has a position in it, and what it
//! means follows from the position: before the first byte `NotSent`; later `Unknown`, and the partner acted if it had the whole request.

use super::plan::{Kind, Mutant};
use super::world::{Act, Invoice, Operation, SECRET, Sim, Standing as Pos2, pos_order};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kassad::domain::attempt::{Evidence, State};
use kassad::domain::fiscal::Side;
use kassad::domain::ids::{Handle, Reference};
use kassad::domain::money::Tiyn;
use kassad::domain::order::{PosOrder, Snapshot, Tender};
use kassad::domain::outcome::{Outcome, Reason};
use kassad::domain::time::Wall;
use kassad::drivers::{
    Asked, Closing, Cloud, CloudAbilities, Collect, FiscalMark, GiveBack, Health, InvoiceRecord, Pos, Standing,
    Terminal, TerminalAbilities, Vault, signature,
};
use kassad::host::clock::Monotonic;
use kassad::host::secret::Secret;
use kassad::transport::Loss;
use kassad::workers::courier::Delivery;
use std::sync::Arc;
use std::time::Duration;

/// How long a driver waits for an answer.
const LIMIT_MS: u64 = 10_000;

/// Life of an invoice.
pub const LIFE: Duration = Duration::from_secs(900);

/// What an exchange is about.
pub struct Call {
    partner: String,
    name: &'static str,
    /// The reference of an act that must not be forgotten while it travels.
    acts_for: Option<String>,
    sends_bytes: u64,
    gets_bytes: u64,
}

impl Call {
    pub fn read(partner: &str, name: &'static str) -> Call {
        Call { partner: partner.to_owned(), name, acts_for: None, sends_bytes: 180, gets_bytes: 400 }
    }

    pub fn act(partner: &str, name: &'static str, reference: &str) -> Call {
        let acts_for = Some(reference.to_owned());
        Call { partner: partner.to_owned(), name, acts_for, sends_bytes: 320, gets_bytes: 260 }
    }
}

/// What becomes of a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Whole,
    /// The wire broke at this byte of request and answer together.
    CutAt(u64),
    /// The request is swallowed, or the answer is: nothing breaks, nobody says anything.
    Swallowed,
    Unanswered,
    /// The request arrives after its sender gave up.
    TooLate,
    Throttled,
    /// The answer makes no sense.
    Garbage,
    Refused,
}

fn fate(sim: &Sim, call: &Call) -> Fate {
    if sim.strikes(Kind::Outage) {
        // A cloud may be away for longer than a request lives that was never sent.
        let is_long = call.partner == "aipay" && sim.pick("long outage", 8) == 0;
        let length_ms =
            if is_long { sim.between("outage", 900_000, 1_500_000) } else { sim.between("outage", 5_000, 240_000) };
        let until = sim.now().plus(Duration::from_millis(length_ms));
        let mut world = sim.world();
        let known = world.down_until.entry(call.partner.clone()).or_default();
        *known = until.max(*known);
    }
    let is_down = sim.world().down_until.get(&call.partner).is_some_and(|until| *until > sim.now());
    if is_down && !sim.world().is_calm {
        return Fate::Refused;
    }
    if sim.strikes(Kind::Cut) {
        // Half of the cuts at the three borders, where the meaning changes.
        let all = call.sends_bytes + call.gets_bytes;
        let borders = [0, 1, call.sends_bytes - 1, call.sends_bytes, all - 1];
        let at = match sim.pick("cut border", 2) {
            0 => borders[sim.pick("cut which", 5) as usize],
            _ => sim.pick("cut at", all),
        };
        let place = match at {
            0 => "before the first byte",
            at if at < call.sends_bytes => "in the request",
            _ => "in the answer",
        };
        sim.world().note(format!("cut {place}"));
        return Fate::CutAt(at);
    }
    let fates = [
        (Kind::Swallowed, Fate::Swallowed),
        (Kind::Unanswered, Fate::Unanswered),
        (Kind::TooLate, Fate::TooLate),
        (Kind::Throttled, Fate::Throttled),
        (Kind::Garbage, Fate::Garbage),
    ];
    fates.into_iter().find(|(kind, _)| sim.strikes(*kind)).map_or(Fate::Whole, |(_, fate)| fate)
}

/// What an exchange brought: an answer, or what the transport or the status line says of its lack.
pub enum Said<A> {
    Answer(A),
    Lost(Loss),
    Nonsense,
}

pub async fn exchange<A: Send + 'static>(
    sim: &Sim,
    call: Call,
    act: impl FnOnce(&Sim) -> A + Send + 'static,
) -> Said<A> {
    sim.step();
    sim.world().note(format!("exchange {} {}", call.partner, call.name));
    let fate = fate(sim, &call);
    let (lost, not_sent) = (
        || Said::Lost(Loss::Unknown(format!("{fate:?}").into())),
        || Said::Lost(Loss::NotSent(format!("{fate:?}").into())),
    );
    let mut there_ms = sim.between("latency there", 5, 60);
    let mut back_ms = sim.between("latency back", 5, 60);
    if sim.strikes(Kind::Slow) {
        there_ms += sim.pick("slow there", LIMIT_MS / 2);
        back_ms += sim.pick("slow back", LIMIT_MS);
    }
    let arrives = match fate {
        Fate::Refused | Fate::CutAt(0) | Fate::Throttled => {
            sim.sleep_ms(there_ms).await;
            return not_sent();
        }
        Fate::CutAt(at) if at < call.sends_bytes => {
            sim.sleep_ms(there_ms).await;
            return lost();
        }
        Fate::Swallowed => {
            sim.sleep_ms(LIMIT_MS).await;
            return lost();
        }
        Fate::TooLate => LIMIT_MS + sim.between("too late", 100, 8_000),
        Fate::Whole | Fate::CutAt(_) | Fate::Unanswered | Fate::Garbage => there_ms,
    };
    let (sent, answered) = tokio::sync::oneshot::channel();
    let (world, reference, name) = (sim.clone(), call.acts_for.clone(), call.name);
    if let Some(reference) = &reference {
        *sim.world().travels.entry(reference.clone()).or_default() += 1;
    }
    // The request left: it arrives whatever becomes of the daemon.
    sim.affair(async move {
        world.sleep_ms(arrives).await;
        let answer = act(&world);
        if let Some(reference) = reference {
            world.world().tell(&format!("{name} {reference} was acted on"));
            world.world().travels.entry(reference).and_modify(|count| *count -= 1);
            world.step();
        }
        let _heard = sent.send(answer);
    });
    let waited = async {
        let answer = answered.await;
        sim.sleep_ms(back_ms).await;
        answer
    };
    let answer = match sim.0.clock.limit(Duration::from_millis(LIMIT_MS), waited).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => return lost(),
    };
    match fate {
        Fate::Whole => {
            sim.step();
            Said::Answer(answer)
        }
        Fate::Garbage => Said::Nonsense,
        Fate::Unanswered => {
            sim.sleep_ms(LIMIT_MS).await;
            lost()
        }
        Fate::CutAt(_) | Fate::TooLate | Fate::Refused | Fate::Throttled | Fate::Swallowed => lost(),
    }
}

/// The border of a driver: a lost wire is passed on, nonsense is `Unknown` (H1).
pub fn outcome<A, T>(sim: &Sim, said: Said<A>, read: impl FnOnce(A) -> Outcome<T>) -> Outcome<T> {
    match said {
        Said::Answer(answer) => read(answer),
        Said::Nonsense => Outcome::Unknown(Reason::new("bad_answer", "")),
        Said::Lost(Loss::NotSent(why)) => Outcome::NotSent(Reason::new("no_link", why)),
        Said::Lost(Loss::Unknown(why)) if sim.0.plan.mutant == Some(Mutant::LossIsNotSent) => {
            Outcome::NotSent(Reason::new("no_link", why))
        }
        Said::Lost(Loss::Unknown(why)) => Outcome::Unknown(Reason::new("link_lost", why)),
    }
}

/// Before a request that moves something its row must be durable (I2).
fn must_be_sent(sim: &Sim, reference: &Reference) {
    let state = sim.look(|view| Ok(view.attempt_of(reference.as_str())?.map(|row| row.attempt.state)));
    if state.is_some_and(|state| state != Some(State::Sent)) {
        sim.world().violate(format!("{reference} goes out while its row says {state:?}"));
    }
}

pub struct Till {
    pub sim: Sim,
    pub place: usize,
    pub vault: Arc<dyn Vault>,
    pub token: Option<String>,
}

enum Taken {
    Process(String),
    Busy,
    Refused,
}

impl Till {
    fn partner(&self) -> String {
        format!("till{}", self.place + 1)
    }

    /// A fresh token is durable before it is used (F09).
    async fn refresh(&mut self) -> Outcome<()> {
        if self.token.is_none() {
            self.token = self.vault.load(&self.partner()).await;
        }
        if self.token.is_some() && !self.sim.strikes(Kind::TokenExpired) {
            return Outcome::Done(());
        }
        let place = self.place;
        let said = exchange(&self.sim, Call::read(&self.partner(), "refresh"), move |sim| {
            if sim.strikes(Kind::NeedsTap) {
                let until = sim.now().plus(Duration::from_secs(20));
                sim.world().tap_until[place] = until;
            }
            let needs_tap = sim.world().tap_until[place] > sim.now();
            (!needs_tap).then(|| sim.world().name("token"))
        })
        .await;
        let fresh = match outcome(&self.sim, said, Outcome::Done) {
            Outcome::Done(Some(fresh)) => fresh,
            Outcome::Done(None) => return Outcome::Refused(Reason::new("needs_tap", "")),
            Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) => {
                return Outcome::NotSent(reason);
            }
        };
        match self.vault.store(&self.partner(), fresh.clone()).await {
            Ok(()) => self.token = Some(fresh),
            Err(reason) => return Outcome::NotSent(reason),
        }
        Outcome::Done(())
    }

    async fn standing(&mut self, asked: &Asked, name: &'static str, is_settle: bool) -> Outcome<Standing> {
        if let Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) = self.refresh().await {
            return Outcome::Unknown(reason);
        }
        let process = asked.handle.0.clone();
        let said = exchange(&self.sim, Call::read(&self.partner(), name), move |sim| {
            let now = sim.now();
            let mut world = sim.world();
            let is_calm = world.is_calm;
            let operation = world.operations.get_mut(&process)?;
            if is_settle && is_calm {
                operation.unclear_until = now;
            }
            Some((operation.clone(), now))
        })
        .await;
        if self.sim.0.plan.mutant == Some(Mutant::LossIsFailure) && matches!(said, Said::Lost(_)) {
            return Outcome::Done(Standing::Failed(Reason::new("timeout", "")));
        }
        let is_hasty = self.sim.0.plan.mutant == Some(Mutant::WaitIsPaid);
        outcome(&self.sim, said, |found| {
            let unclear = |code: &str| Outcome::Done(Standing::Unclear(Reason::new(code, "")));
            let Some((operation, now)) = found else { return unclear("process_lost") };
            if operation.is_forgotten {
                return unclear("process_lost");
            }
            if operation.unclear_until > now {
                return unclear("terminal_unknown");
            }
            Outcome::Done(match operation.act {
                Act::Waits if !is_hasty => Standing::Pending("wait".to_owned()),
                Act::Waits | Act::Paid => Standing::Paid(Evidence {
                    amount: operation.amount,
                    method: "qr".to_owned(),
                    transaction: operation.transaction.clone(),
                    source: "terminal".to_owned(),
                    detail: String::new(),
                    tendered: None,
                }),
                Act::Failed | Act::Expired => Standing::Failed(Reason::new("declined", "")),
            })
        })
    }
}

impl Terminal for Till {
    fn abilities(&self) -> TerminalAbilities {
        TerminalAbilities {
            settle_gap: Duration::from_secs(10),
            inquire_gap: Duration::from_secs(2),
            patience: Duration::from_secs(180),
            abort: false,
            refund: true,
            settlement: false,
        }
    }

    fn prepare(&mut self, _now: Wall) -> BoxFuture<'_, Outcome<()>> {
        self.refresh().boxed()
    }

    fn start<'a>(&'a mut self, ask: &'a Collect) -> BoxFuture<'a, Outcome<Handle>> {
        async move {
            must_be_sent(&self.sim, &ask.reference);
            let (place, reference, amount) = (self.place, ask.reference.0.clone(), ask.amount);
            let call = Call::act(&self.partner(), "start", ask.reference.as_str());
            let said = exchange(&self.sim, call, move |sim| put_on_screen(sim, place, reference, amount, None)).await;
            outcome(&self.sim, said, begun)
        }
        .boxed()
    }

    fn probe(&mut self, _now: Wall) -> BoxFuture<'_, Health> {
        std::future::ready(Health::Good).boxed()
    }

    fn inquire<'a>(&'a mut self, asked: &'a Asked) -> BoxFuture<'a, Outcome<Standing>> {
        self.standing(asked, "status", false).boxed()
    }

    fn settle<'a>(&'a mut self, asked: &'a Asked) -> BoxFuture<'a, Outcome<Standing>> {
        self.standing(asked, "actualize", true).boxed()
    }

    fn give_back<'a>(&'a mut self, ask: &'a GiveBack) -> BoxFuture<'a, Outcome<Handle>> {
        async move {
            let state = self.sim.look(|view| Ok(view.refund_of(ask.reference.as_str())?.map(|row| row.refund.state)));
            if state.is_some_and(|state| state != Some(kassad::domain::refund::State::Sent)) {
                self.sim.world().violate(format!("{} goes out while its row says {state:?}", ask.reference));
            }
            let (place, reference, amount) = (self.place, ask.reference.0.clone(), ask.amount);
            let transaction = ask.transaction.clone();
            let call = Call::act(&self.partner(), "refund", ask.reference.as_str());
            let act = move |sim: &Sim| put_on_screen(sim, place, reference, amount, Some(transaction));
            let said = exchange(&self.sim, call, act).await;
            outcome(&self.sim, said, begun)
        }
        .boxed()
    }

    fn settlement(&mut self) -> BoxFuture<'_, Outcome<String>> {
        std::future::ready(Outcome::Refused(Reason::new("no_refund", ""))).boxed()
    }

    fn abort<'a>(&'a mut self, _handle: &'a Handle) -> BoxFuture<'a, Outcome<()>> {
        std::future::ready(Outcome::Refused(Reason::new("no_abort", ""))).boxed()
    }
}

fn begun(taken: Taken) -> Outcome<Handle> {
    match taken {
        Taken::Process(process) => Outcome::Done(Handle(process)),
        Taken::Busy => Outcome::NotSent(Reason::new("busy", "107")),
        Taken::Refused => Outcome::Refused(Reason::new("declined", "")),
    }
}

fn put_on_screen(sim: &Sim, place: usize, reference: String, amount: Tiyn, gives_back: Option<String>) -> Taken {
    if sim.strikes(Kind::TerminalByHand) {
        let until = sim.now().plus(Duration::from_millis(sim.between("by hand", 5_000, 90_000)));
        sim.world().by_hand_until[place] = until;
    }
    let refuses = sim.strikes(Kind::TerminalRefuses);
    let mut world = sim.world();
    if world.screens[place].is_some() || world.by_hand_until[place] > sim.now() {
        world.note("terminal busy".to_owned());
        return Taken::Busy;
    }
    if refuses {
        return Taken::Refused;
    }
    world.acted_once(format!("start {reference}"));
    let process = world.name("process");
    let transaction = format!("tx-{process}");
    let unclear_until = Monotonic::default();
    let (act, is_forgotten) = (Act::Waits, false);
    let operation = Operation { reference, amount, act, transaction, unclear_until, is_forgotten, gives_back };
    world.operations.insert(process.clone(), operation);
    world.screens[place] = Some(process.clone());
    drop(world);
    sim.affair(guest_at_till(sim.clone(), place, process.clone()));
    Taken::Process(process)
}

/// The guest in front of the terminal.
async fn guest_at_till(sim: Sim, place: usize, process: String) {
    let think_ms = if sim.strikes(Kind::GuestSlow) {
        sim.between("slow guest", 60_000, 220_000)
    } else {
        sim.between("guest at till", 1_500, 15_000)
    };
    sim.sleep_ms(think_ms).await;
    if sim.strikes(Kind::TerminalReboot) {
        let mut world = sim.world();
        let operation = world.operations.get_mut(&process).unwrap();
        operation.is_forgotten = true;
        operation.act = Act::Failed;
        world.screens[place] = None;
        return;
    }
    if sim.strikes(Kind::GuestLeaves) {
        sim.sleep_ms(120_000).await;
        end_at_till(&sim, place, &process, Act::Failed);
        return;
    }
    let pays = !sim.strikes(Kind::GuestDeclines);
    let unclear_ms = match (sim.strikes(Kind::TerminalUnclear), sim.strikes(Kind::TerminalLies)) {
        (_, true) => sim.between("lies for", 100_000, 500_000),
        (true, _) => sim.between("unclear for", 1_000, 60_000),
        (false, false) => 0,
    };
    let unclear_until = sim.now().plus(Duration::from_millis(unclear_ms));
    sim.world().operations.get_mut(&process).unwrap().unclear_until = unclear_until;
    end_at_till(&sim, place, &process, if pays { Act::Paid } else { Act::Failed });
}

fn end_at_till(sim: &Sim, place: usize, process: &str, act: Act) {
    let mut world = sim.world();
    let operation = world.operations.get_mut(process).unwrap();
    operation.act = act;
    let (reference, amount) = (operation.reference.clone(), operation.amount);
    let gives_back = operation.gives_back.clone();
    world.screens[place] = None;
    world.tell(&format!("terminal: {reference} {act:?}"));
    let payment = gives_back.map(|paid| {
        let payment = world.operations.values().find(|operation| operation.transaction == paid);
        payment.map(|payment| payment.reference.clone()).unwrap_or_default()
    });
    if let Some(payment) = payment {
        let times = if sim.0.plan.mutant == Some(Mutant::GivesBackTwice) { 2 } else { 1 };
        (0..times).filter(|_| act == Act::Paid).for_each(|_| world.give(&reference, &payment, amount));
    } else if act == Act::Paid {
        world.charge(&reference, amount, false);
        if sim.0.plan.mutant == Some(Mutant::ChargesTwice) {
            world.charge(&reference, amount, false);
        }
    }
}

pub struct Kaspi {
    pub sim: Sim,
    pub can_find: bool,
}

fn record(handle: &str, invoice: &Invoice) -> InvoiceRecord {
    let standing = match invoice.act {
        Act::Waits => Standing::Pending("pending".to_owned()),
        Act::Paid => Standing::Paid(Evidence {
            amount: invoice.paid,
            method: "invoice".to_owned(),
            transaction: handle.to_owned(),
            source: "cloud".to_owned(),
            detail: String::new(),
            tendered: None,
        }),
        Act::Failed => Standing::Failed(Reason::new("error", "")),
        Act::Expired => Standing::Expired(Reason::new("expired", "")),
    };
    let reference = Some(Reference(invoice.reference.clone()));
    InvoiceRecord { handle: Handle(handle.to_owned()), reference, standing }
}

impl Cloud for Kaspi {
    fn abilities(&self) -> CloudAbilities {
        CloudAbilities { tenders: &[Tender::KaspiInvoice], life: LIFE, find: self.can_find, issues_receipts: false }
    }

    fn create<'a>(&'a self, ask: &'a Collect) -> BoxFuture<'a, Outcome<InvoiceRecord>> {
        async move {
            must_be_sent(&self.sim, &ask.reference);
            let (reference, amount) = (ask.reference.0.clone(), ask.amount);
            let call = Call::act("aipay", "create", &reference);
            let said = exchange(&self.sim, call, move |sim| {
                if sim.strikes(Kind::CloudRefuses) {
                    return None;
                }
                let mut world = sim.world();
                world.acted_once(format!("create {reference}"));
                let handle = world.name("inv");
                let invoice = Invoice { reference, amount, paid: Tiyn::ZERO, act: Act::Waits };
                let record = record(&handle, &invoice);
                world.invoices.insert(handle.clone(), invoice);
                drop(world);
                sim.affair(guest_with_phone(sim.clone(), handle));
                Some(record)
            })
            .await;
            let refused = || Outcome::Refused(Reason::new("cloud_refused", "HTTP 422"));
            outcome(&self.sim, said, |made| made.map_or_else(refused, Outcome::Done))
        }
        .boxed()
    }

    fn inquire<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Outcome<InvoiceRecord>> {
        async move {
            let name = handle.0.clone();
            let said = exchange(&self.sim, Call::read("aipay", "get"), move |sim| {
                let forgets = sim.strikes(Kind::CloudForgets);
                let found = sim.world().invoices.get(&name).map(|invoice| record(&name, invoice));
                found.filter(|_| !forgets)
            })
            .await;
            let unknown = || Outcome::Unknown(Reason::new("contradiction", "404"));
            outcome(&self.sim, said, |found| found.map_or_else(unknown, Outcome::Done))
        }
        .boxed()
    }

    fn find<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Outcome<Option<InvoiceRecord>>> {
        async move {
            let wanted = reference.0.clone();
            let said = exchange(&self.sim, Call::read("aipay", "find"), move |sim| {
                let world = sim.world();
                let found = world.invoices.iter().find(|(_, invoice)| invoice.reference == wanted);
                found.map(|(handle, invoice)| record(handle, invoice))
            })
            .await;
            outcome(&self.sim, said, Outcome::Done)
        }
        .boxed()
    }
}

/// The guest whose phone shows the request.
async fn guest_with_phone(sim: Sim, handle: String) {
    if sim.strikes(Kind::NoticeLies) {
        sim.affair(notice(sim.clone(), handle.clone(), "paid", false));
    }
    let is_early = sim.strikes(Kind::NoticeEarly);
    let think_ms = if is_early {
        1
    } else if sim.strikes(Kind::GuestSlow) {
        sim.between("slow phone", 120_000, 700_000)
    } else {
        sim.between("guest with phone", 2_000, 45_000)
    };
    sim.sleep_ms(think_ms).await;
    let (leaves, errs) = (sim.strikes(Kind::GuestLeaves), sim.strikes(Kind::CloudError));
    if errs {
        end_invoice(&sim, &handle, Act::Failed);
        return;
    }
    if leaves || sim.strikes(Kind::GuestDeclines) {
        let left = LIFE.as_millis() as u64 - think_ms;
        sim.sleep_ms(left).await;
        end_invoice(&sim, &handle, Act::Expired);
        if sim.strikes(Kind::PaysLate) {
            let late_ms = sim.between("pays late", 1_000, 600_000);
            sim.sleep_ms(late_ms).await;
            end_invoice(&sim, &handle, Act::Paid);
        }
        return;
    }
    end_invoice(&sim, &handle, Act::Paid);
}

fn end_invoice(sim: &Sim, handle: &str, act: Act) {
    let (less, more) = (sim.strikes(Kind::PaysLess), sim.strikes(Kind::PaysMore));
    let mut world = sim.world();
    let invoice = world.invoices.get_mut(handle).unwrap();
    let is_late = invoice.act != Act::Waits;
    invoice.act = act;
    if act == Act::Paid {
        let off = if less { -10_000 } else { i64::from(more) * 10_000 };
        invoice.paid = Tiyn(invoice.amount.0 + off);
        let (reference, paid) = (invoice.reference.clone(), invoice.paid);
        world.tell(&format!("cloud: {reference} paid {paid}, late {is_late}"));
        world.charge(&reference, paid, is_late);
    }
    drop(world);
    let word = match act {
        Act::Waits => return,
        Act::Paid => "paid",
        Act::Failed => "error",
        Act::Expired => "expired",
    };
    // Nobody hears of what was denied by a person unless the cloud insists.
    if !sim.strikes(Kind::NoticeLost) {
        sim.affair(notice(sim.clone(), handle.to_owned(), word, true));
    }
    if sim.strikes(Kind::NoticeTwice) {
        sim.affair(notice(sim.clone(), handle.to_owned(), word, true));
    }
}

/// A notice on its way: late, forged, or as it should be. It is tried again while the daemon is away.
async fn notice(sim: Sim, handle: String, word: &'static str, is_true: bool) {
    let delay_ms = if sim.strikes(Kind::NoticeLate) {
        sim.between("late notice", 5_000, 900_000)
    } else {
        sim.between("notice", 1, 1_500)
    };
    sim.sleep_ms(delay_ms).await;
    let (reference, amount) = {
        let world = sim.world();
        let invoice = &world.invoices[&handle];
        (invoice.reference.clone(), invoice.amount.whole_tenge())
    };
    let body = |handle: &str| {
        serde_json::json!({ "event": format!("invoice.{word}"), "invoice_id": handle, "external_id": reference, "amount": amount })
            .to_string()
    };
    if !is_true {
        sim.world().note("lying notice".to_owned());
    }
    let secret = Secret::new(SECRET);
    if sim.strikes(Kind::NoticeForged) {
        deliver(&sim, body(&handle), "00".repeat(32), 403).await;
    }
    if sim.strikes(Kind::NoticeUnreadable) {
        let body = format!("{{\"about\": \"{handle}\"}}");
        let signed = signature::sign(&secret, body.as_bytes());
        deliver(&sim, body, signed, 200).await;
    }
    if sim.strikes(Kind::NoticeStranger) {
        let body =
            serde_json::json!({ "event": "invoice.paid", "invoice_id": format!("other-{handle}"), "amount": 100 });
        let signed = signature::sign(&secret, body.to_string().as_bytes());
        deliver(&sim, body.to_string(), signed, 200).await;
    }
    let body = body(&handle);
    let signed = signature::sign(&secret, body.as_bytes());
    deliver(&sim, body, signed, 200).await;
}

async fn deliver(sim: &Sim, body: String, signed: String, wanted: u16) {
    for pause_ms in [2_000, 10_000, 60_000, 300_000] {
        match sim.call(true, "/webhooks/aipay", &[("x-aipay-signature", &signed)], body.clone()).await {
            Some((status, _)) if status == wanted => return,
            Some((503, _)) | None => sim.sleep_ms(pause_ms).await,
            Some((status, _)) => {
                sim.world().violate(format!("a notice got {status} instead of {wanted}: {body}"));
                return;
            }
        }
    }
}

pub struct Poster(pub Sim);

impl Pos for Poster {
    fn open_orders(&self, _from: Wall, _now: Wall) -> BoxFuture<'_, Outcome<Vec<Snapshot>>> {
        async move {
            let said = exchange(&self.0, Call::read("poster", "list"), |sim| {
                let world = sim.world();
                let open = world.sales.iter().filter(|(_, sale)| !sale.is_bots && sale.standing == Pos2::Open);
                open.map(|(id, sale)| Snapshot { lines: Vec::new(), ..sale.snapshot(id) }).collect::<Vec<_>>()
            })
            .await;
            outcome(&self.0, said, Outcome::Done)
        }
        .boxed()
    }

    fn read<'a>(&'a self, foreign_id: &'a str) -> BoxFuture<'a, Outcome<PosOrder>> {
        async move {
            let id = foreign_id.to_owned();
            let said = exchange(&self.0, Call::read("poster", "read"), move |sim| {
                let mut world = sim.world();
                let sale = world.sales.get_mut(&id)?;
                sale.shown_due = sale.due();
                sale.shown.insert(sale.shown_due);
                Some(pos_order(&id, sale))
            })
            .await;
            let missing = || Outcome::Refused(Reason::new("pos_removed", ""));
            outcome(&self.0, said, |found| found.map_or_else(missing, Outcome::Done))
        }
        .boxed()
    }

    fn close<'a>(&'a self, closing: &'a Closing) -> BoxFuture<'a, Outcome<()>> {
        async move {
            let wrong = if self.0.0.plan.mutant == Some(Mutant::WrongSum) { 10_000 } else { 0 };
            let (id, cash, cashless) = (closing.foreign_id.clone(), closing.cash, Tiyn(closing.cashless.0 - wrong));
            if self.0.0.plan.mutant == Some(Mutant::ClosesTwice) {
                let id = id.clone();
                let call = Call::act("poster", "close", &closing.foreign_id);
                drop(exchange(&self.0, call, move |sim| close(sim, &id, cash, cashless)).await);
            }
            let call = Call::act("poster", "close", &closing.foreign_id);
            let said = exchange(&self.0, call, move |sim| close(sim, &id, cash, cashless)).await;
            let refused = || Outcome::Refused(Reason::new("pos_refused", ""));
            outcome(&self.0, said, |done| if done { Outcome::Done(()) } else { refused() })
        }
        .boxed()
    }

    fn mark_fiscal<'a>(&'a self, mark: &'a FiscalMark) -> BoxFuture<'a, Outcome<()>> {
        async move {
            let (id, side) = (mark.foreign_id.clone(), mark.side);
            let call = Call::act("poster", "mark", &mark.foreign_id);
            let said = exchange(&self.0, call, move |sim| {
                let mut world = sim.world();
                match world.sales[&id].standing {
                    Pos2::Closed(..) => {}
                    Pos2::Open => world.violate(format!("order {id} is told of a receipt and is not closed")),
                    Pos2::Removed => return false,
                }
                world.marked.insert((id, side == Side::Return));
                true
            })
            .await;
            let refused = || Outcome::Refused(Reason::new("pos_refused", ""));
            outcome(&self.0, said, |done| if done { Outcome::Done(()) } else { refused() })
        }
        .boxed()
    }
}

/// The POS closes an order as it is told; what it is told is judged by the laws.
fn close(sim: &Sim, id: &str, cash: Tiyn, cashless: Tiyn) -> bool {
    let (refuses, pretends) = (sim.strikes(Kind::PosRefuses), sim.strikes(Kind::PosPretends));
    let mut world = sim.world();
    let (net, sum) = (world.net(id), Tiyn(cash.0 + cashless.0));
    let sale = world.sales.get_mut(id).unwrap();
    if refuses || sale.standing == Pos2::Removed {
        return false;
    }
    if pretends {
        return true;
    }
    let (shown, was_closed, by_us) = (sale.shown_due, sale.standing != Pos2::Open, sale.closes > 0);
    if was_closed && !by_us {
        // Closed by hand in the moment between our look and our close.
        return false;
    }
    if sum != sale.due() && sale.shown.contains(&sum) {
        // It grew in that moment, and somebody else may have read it since.
        return false;
    }
    sale.standing = Pos2::Closed(cash, cashless);
    sale.closes += 1;
    let closes = sale.closes;
    world.tell(&format!("POS: {id} closed with {sum}"));
    if closes > 1 {
        world.violate(format!("order {id} was closed twice"));
    }
    if sum != shown || net < sum {
        world.violate(format!("order {id} was closed with {sum}; it was worth {shown}, and {net} is there"));
    }
    true
}

pub struct BotWay(pub Sim);

impl Delivery for BotWay {
    fn post<'a>(&'a self, _header: &'static str, _signed: String, body: String) -> BoxFuture<'a, Result<u16, Loss>> {
        async move {
            if self.0.0.plan.mutant == Some(Mutant::SilentCourier) {
                return Ok(200);
            }
            let said = exchange(&self.0, Call::read("bot", "webhook"), move |sim| {
                if sim.strikes(Kind::BotRefuses) {
                    return 500;
                }
                let body: serde_json::Value = serde_json::from_str(&body).unwrap();
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                sim.world().heard.push((text("invoice_id"), text("event")));
                200
            })
            .await;
            match said {
                Said::Answer(status) => Ok(status),
                Said::Nonsense => Ok(502),
                Said::Lost(loss) => Err(loss),
            }
        }
        .boxed()
    }
}
