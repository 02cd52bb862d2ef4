//! Keeps the connection to the outside, for ever. Where nobody answers, the next try is a second away at most: the path may be back. Where
//! somebody answered and it was no good, the pauses grow; a payment that begins ends them.

use super::{Board, Desk, Line};
use crate::config::tunnel::{Forward, SshTunnel};
use crate::host::clock::Monotonic;
use crate::host::secret::Secret;
use crate::transport::child::{Child, EXIT_NO_PROGRAM};
use crate::transport::ssh::{self, Failure, HostKeys, Login, Names, Place, Server, Session};
use crate::workers::BackOff;
use futures_util::FutureExt;
use std::time::Duration;
use tracing::{debug, info, warn};

/// The longest pause after an answer that was no good.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// The pause where nobody is reached.
const LOOK_GAP: Duration = Duration::from_secs(1);

/// A connection that lived this long was a good one: the pauses begin anew.
const GOOD_LIFE: Duration = Duration::from_secs(30);

/// The pause between two requests for a place that another session holds.
const TAKEN_GAP: Duration = Duration::from_secs(2);

/// How long a server may refuse the place until that is no dead session of ours any more: OpenSSH gives up a silent client sooner.
const TAKEN_FOR: Duration = Duration::from_secs(120);

/// The pause between two runs of the command that frees the place.
const FREE_GAP: Duration = Duration::from_secs(30);

/// Why a connection is no more.
enum End {
    /// The daemon stops.
    Stop,
    /// Questions did not come back through it: made anew at once.
    Renew,
    /// It failed, after living for so long.
    Failed(&'static str, String, Wait, Duration),
}

/// How long the next try waits.
enum Wait {
    /// It waited already.
    Not,
    /// For a look at the path.
    Look,
    /// Longer each time.
    BackOff,
}

/// Keeps an SSH session with its forward until the daemon stops.
pub(super) async fn keep_ssh(desk: &Desk, tunnel: &SshTunnel) {
    let server = Server {
        host: tunnel.host.clone(),
        port: tunnel.port,
        user: tunnel.user.clone(),
        host_keys: HostKeys::new(&tunnel.host_keys),
        place: match &tunnel.forward {
            Forward::Port(address, port) => Place::Port(address.clone(), *port),
            Forward::Socket(path) => Place::Socket(path.clone()),
        },
    };
    let mut pauses = Pauses::default();
    let mut names = Names::default();
    loop {
        let end = tokio::select! {
            biased;
            () = desk.office.stop.wait() => End::Stop,
            session = open(desk, &server, tunnel, &mut names) => match session {
                Ok(session) => serve(desk, session).await,
                Err(failure) => End::Failed(failure.code(), failure.to_string(), wait_of(&failure), Duration::ZERO),
            },
        };
        if !pauses.until_next(desk, end).await {
            return;
        }
    }
}

fn wait_of(failure: &Failure) -> Wait {
    match failure.is_answered() {
        true => Wait::BackOff,
        false if matches!(failure, Failure::Silent(_)) => Wait::Not,
        false => Wait::Look,
    }
}

/// A session whose server listens for us.
async fn open(desk: &Desk, server: &Server, tunnel: &SshTunnel, names: &mut Names) -> Result<Session, Failure> {
    let clock = &desk.office.clock;
    // Read each time: an installer who puts it right need not start us again.
    let secret = Secret::read_block(&tunnel.key_file).map_err(|cause| Failure::Key(cause.to_string()))?;
    let login = Login::read(&secret)?;
    let stream = ssh::dial(server, names, clock).await?;
    let (target, meter, spawner) = (desk.means.target, &desk.office.tunnel.meter, &desk.means.spawner);
    let means = ssh::Means { login: &login, target, meter, clock, spawner };
    let session = Session::open(server, stream, &means).await?;
    let (begun, mut freed) = (clock.now(), None);
    loop {
        let refused = match session.forward(&server.place, clock).await {
            Ok(()) => return Ok(session),
            Err(Failure::Taken(place)) => place,
            Err(failure) => return Err(failure),
        };
        let now = clock.now();
        let failure = match now.since(begun) {
            for_so_long if for_so_long < TAKEN_FOR => Failure::Taken(refused),
            _ => Failure::Forward(refused),
        };
        desk.failed(failure.code(), failure.to_string());
        let may_free = freed.is_none_or(|at: Monotonic| now.since(at) >= FREE_GAP);
        match tunnel.free_command.as_deref().filter(|_| may_free) {
            Some(command) => {
                freed = Some(now);
                let status = session.run(command, clock).await?;
                info!(target: "kassad::tunnel", ?status, "the command that frees the place was run at the server");
            }
            None => clock.sleep(TAKEN_GAP).await,
        }
    }
}

async fn serve(desk: &Desk, mut session: Session) -> End {
    let clock = &desk.office.clock;
    let since = clock.now();
    desk.opened(since);
    let end = tokio::select! {
        biased;
        () = desk.office.stop.wait() => End::Stop,
        () = desk.renew.notified() => End::Renew,
        failure = session.ended() => {
            return End::Failed(failure.code(), failure.to_string(), Wait::BackOff, clock.now().since(since));
        }
    };
    if matches!(end, End::Stop) {
        session.close(clock).await;
    }
    end
}

/// Keeps a program running until the daemon stops.
pub(super) async fn keep_program(desk: &Desk, words: &[String]) {
    let mut pauses = Pauses::default();
    loop {
        let end = match Child::start(&desk.means.helper, words) {
            Ok(child) => run_program(desk, child).await,
            Err(cause) => End::Failed("tunnel_program", cause.to_string(), Wait::BackOff, Duration::ZERO),
        };
        if !pauses.until_next(desk, end).await {
            return;
        }
    }
}

async fn run_program(desk: &Desk, mut child: Child) -> End {
    let clock = &desk.office.clock;
    let since = clock.now();
    desk.opened(since);
    let end = tokio::select! {
        biased;
        () = desk.office.stop.wait() => End::Stop,
        () = desk.renew.notified() => End::Renew,
        ended = child.ended(clock) => {
            let lived = clock.now().since(since);
            let (code, detail) = match ended {
                Ok(status) if status.code() == Some(i32::from(EXIT_NO_PROGRAM)) => ("tunnel_program", status.to_string()),
                Ok(status) => ("tunnel_ended", status.to_string()),
                Err(cause) => ("tunnel_ended", cause.to_string()),
            };
            return End::Failed(code, detail, Wait::BackOff, lived);
        }
    };
    child.stop(clock).await;
    end
}

/// The pauses between tries.
#[derive(Default)]
struct Pauses {
    back_off: BackOff,
}

impl Pauses {
    /// Waits for the time of the next try; whether there is one.
    async fn until_next(&mut self, desk: &Desk, end: End) -> bool {
        let pause = match end {
            End::Stop => return false,
            End::Renew => {
                desk.failed("tunnel_renewed", "questions did not come back".to_owned());
                Duration::ZERO
            }
            End::Failed(code, detail, wait, lived) => {
                desk.failed(code, detail);
                if lived >= GOOD_LIFE {
                    self.back_off.reset();
                }
                match wait {
                    Wait::Not => Duration::ZERO,
                    Wait::Look => LOOK_GAP,
                    Wait::BackOff => self.back_off.jittered(PAUSE_MAX, &desk.means.ids),
                }
            }
        };
        Board::count(&desk.office.tunnel.restarts);
        let mut live = desk.is_live.subscribe();
        let begins = async {
            // The other half lives as long as we do.
            let _begun = live.changed().await.is_ok() && live.wait_for(|is_live| *is_live).await.is_ok();
        };
        tokio::select! {
            biased;
            () = desk.office.stop.wait() => return false,
            () = desk.office.clock.sleep(pause) => {}
            () = begins => {}
        }
        true
    }
}

impl Desk {
    fn opened(&self, now: Monotonic) {
        // What was said about the connection before this one.
        let _stale = self.renew.notified().now_or_never();
        info!(target: "kassad::tunnel", "the tunnel's connection is there");
        self.line.send_replace(Line::Open(now));
    }

    /// Says once why there is no connection.
    fn failed(&self, code: &'static str, detail: String) {
        let is_new = !matches!(&*self.line.borrow(), Line::Closed(told, _) if *told == code);
        if is_new {
            warn!(target: "kassad::tunnel", code, detail, "the tunnel has no connection");
        } else {
            debug!(target: "kassad::tunnel", code, detail, "the tunnel still has no connection");
        }
        self.line.send_replace(Line::Closed(code, detail));
    }
}
