//! Asks from outside whether our own public listener answers, and says so to everybody: the page, the pace of polling, and the other half,
//! which makes the connection anew.

use super::pulse::{Heard, Hours, LIMIT, OPEN_FOR, Pulse};
use super::{Board, Desk, Line, NAME, Reach};
use crate::config::tunnel::{Tunnel, TunnelKind};
use crate::domain::attempt::State;
use crate::host::clock::Monotonic;
use crate::ledger::{Fault, View};
use crate::transport::web::{Limits, Request, Trust, Web};
use crate::transport::{Bar, Loss};
use crate::workers::until;
use std::time::Duration;
use tracing::{info, warn};

/// An answer is a nonce and its proof: a hundred bytes.
const LIMITS: Limits = Limits { whole: LIMIT, body_max: 1024 };

/// How long an unclear payment is still hurried: later news are hours away.
const UNCLEAR_FOR_MS: i64 = 15 * 60 * 1000;

/// How often the hour of the day is looked at while nothing happens.
const HOURS_GAP: Duration = Duration::from_secs(60);

/// The code of a question that nothing came back for.
const LOST: &str = "tunnel_lost";

struct Prober<'a> {
    desk: &'a Desk,
    /// Keeps its connection between two questions: most of the data of a question is its handshake.
    kept: Web,
    /// A new connection for each: the repetition must not ride a dead one.
    fresh: Web,
    pulse: Pulse,
    busy: Option<Monotonic>,
    is_ours_to_renew: bool,
}

/// Watches the way in until the daemon stops.
pub(super) async fn watch(desk: &Desk, tunnel: &Tunnel) {
    let opened = tunnel.public_url.as_deref().and_then(|url| {
        // The configuration has checked the address.
        Some((Web::open_kept(url, &Trust::Roots).ok()?, Web::open(url, &Trust::Roots).ok()?))
    });
    let Some((kept, fresh)) = opened else { return desk.office.stop.wait().await };
    desk.office.tunnel.tell(Reach::Unknown);
    let is_ours_to_renew = tunnel.kind != TunnelKind::None;
    let mut prober = Prober { desk, kept, fresh, pulse: Pulse::default(), busy: None, is_ours_to_renew };
    prober.busy = prober.was_busy().then(|| desk.office.clock.now());
    tokio::select! {
        biased;
        () = desk.office.stop.wait() => {}
        () = prober.serve() => {}
    }
}

impl Prober<'_> {
    async fn serve(&mut self) {
        let (office, clock) = (&self.desk.office, self.desk.office.clock.clone());
        let mut ear = office.listen();
        let mut line = self.desk.line.subscribe();
        loop {
            let hours = self.hours();
            let due = match &*line.borrow_and_update() {
                Line::Open(_) => Some(self.pulse.due(hours, office.tunnel.reach())),
                Line::Opening | Line::Closed(..) => None,
            };
            if due.is_some_and(|due| due <= clock.now()) {
                self.ask().await;
                continue;
            }
            let look = clock.now().plus(HOURS_GAP);
            tokio::select! {
                biased;
                _changed = line.changed() => self.line_changed(),
                _ = ear.changed_of(&["attempt", "refund", "order"]) => self.busy = Some(clock.now()),
                () = until(&clock, Some(due.map_or(look, |due| due.min(look)))) => {}
            }
        }
    }

    /// The other half made a connection, or has none.
    fn line_changed(&mut self) {
        let line = self.desk.line.borrow().clone();
        match line {
            Line::Opening => {}
            Line::Open(_) => self.pulse.hurry(),
            Line::Closed(code, detail) => self.tell(Reach::Down, code, &detail),
        }
    }

    /// One question, repeated at once over a new connection where it does not come back.
    async fn ask(&mut self) {
        let clock = self.desk.office.clock.clone();
        let before = self.desk.line.borrow().clone();
        let Line::Open(opened) = before else { return };
        self.pulse.start(clock.now());
        let mut heard = self.once(&self.kept).await;
        if heard != Heard::Ours {
            heard = self.once(&self.fresh).await;
        }
        // The connection ended meanwhile: that is told already, or this question was about another one.
        if *self.desk.line.borrow() != before {
            return;
        }
        let verdict = self.pulse.judge(&heard, self.desk.office.tunnel.reach(), opened, clock.now());
        let (code, detail) = match heard {
            Heard::Ours => ("", String::new()),
            Heard::Nobody(code, detail) => (code, detail),
            Heard::Stranger(detail) => ("tunnel_stranger", detail),
        };
        self.tell(verdict.reach, code, &detail);
        if verdict.renew && self.is_ours_to_renew {
            self.desk.renew.notify_one();
        }
    }

    async fn once(&self, web: &Web) -> Heard {
        let (office, means) = (&self.desk.office, &self.desk.means);
        let nonce = means.probes.issue(&means.ids);
        let request = Request::get(format!("/probe/{nonce}"));
        let answer = office.clock.limit(LIMIT, web.send(&request, LIMITS)).await;
        means.probes.forget(&nonce);
        let expected = means.probes.answer(&nonce).unwrap_or_default();
        let heard = match answer {
            Ok(Ok(answer)) if answer.status == 200 && answer.body == expected.as_bytes() => Heard::Ours,
            Ok(Ok(answer)) => Heard::Stranger(answer.shape()),
            Ok(Err(loss)) => Heard::Nobody(code_of(&loss), loss.to_string()),
            Err(_) => Heard::Nobody(LOST, format!("no answer within {} s", LIMIT.as_secs())),
        };
        Board::count(if heard == Heard::Ours { &office.tunnel.answered } else { &office.tunnel.missed });
        heard
    }

    /// Says how it is, and logs what is new.
    fn tell(&self, reach: Reach, code: &str, detail: &str) {
        let office = &self.desk.office;
        let state = match reach {
            Reach::Up => "up",
            Reach::Down => "down",
            Reach::Unknown | Reach::Unwatched => "unknown",
        };
        office.devices.set(NAME, NAME, state, code, detail);
        if office.tunnel.tell(reach) {
            match reach {
                Reach::Up => info!(target: "kassad::tunnel", "the outside reaches us"),
                Reach::Down => {
                    warn!(target: "kassad::tunnel", code, detail, "the outside does not reach us: clouds are asked more often");
                }
                Reach::Unknown | Reach::Unwatched => {}
            }
        }
    }

    /// How busy the shop is by the ledger; a payment that begins is asked about at once.
    fn hours(&self) -> Hours {
        let office = &self.desk.office;
        let now = office.clock.now();
        let since = office.clock.wall().plus_ms(-UNCLEAR_FOR_MS).0;
        // Without the ledger there are no payments either.
        let is_live = office.look(|view| is_live(&view, &self.desk.means.clouds, since)).unwrap_or(false);
        self.desk.is_live.send_if_modified(|told| std::mem::replace(told, is_live) != is_live);
        match self.busy {
            _ if is_live => Hours::Live,
            Some(busy) if now.since(busy) < OPEN_FOR => Hours::Open,
            Some(_) | None => Hours::Night,
        }
    }

    /// Whether something happened within the hour before the start.
    fn was_busy(&self) -> bool {
        let office = &self.desk.office;
        let span_ms = i64::try_from(OPEN_FOR.as_millis()).unwrap_or(i64::MAX);
        let since = office.clock.wall().plus_ms(-span_ms);
        let newest = office.look(|view| view.newest_attempts(None, 1));
        newest.is_ok_and(|rows| rows.iter().any(|row| row.changed.0 >= since.0))
    }
}

/// A wrong certificate or a wrong clock has its own cure (F13); the rest is a way that is not there.
fn code_of(loss: &Loss) -> &'static str {
    let (Loss::NotSent(cause) | Loss::Unknown(cause)) = loss;
    match cause.bar {
        Some(
            bar @ (Bar::TlsClock
            | Bar::TlsExpired
            | Bar::TlsName
            | Bar::TlsIssuer
            | Bar::TlsCertificate
            | Bar::TlsSpeech),
        ) => bar.code(),
        Some(Bar::Refused | Bar::Silent | Bar::Nameless | Bar::Foreign | Bar::Stranger) | None => LOST,
    }
}

/// Whether a payment or refund is under way at one of the clouds.
fn is_live(view: &View<'_>, clouds: &[String], unclear_since: i64) -> Result<bool, Fault> {
    let pays = view.watched_all()?.into_iter().any(|row| {
        let is_fresh = row.attempt.state != State::Unresolved || row.changed.0 >= unclear_since;
        clouds.contains(&row.via) && row.attempt.state.is_live() && is_fresh
    });
    if pays {
        return Ok(true);
    }
    let is_given_back = |row: &crate::ledger::refunds::RefundRow| {
        clouds.contains(&row.via) && row.refund.state.is_live() && row.changed.0 >= unclear_since
    };
    Ok(view.watched_refunds_all()?.iter().any(is_given_back))
}
