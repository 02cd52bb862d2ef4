//! `kassad pay` and `kassad queue`: clients of the running daemon's local API.

use super::{EXIT_UNCLEAR, QueueAction, complain, read_config, say};
use crate::config::Config;
use crate::host::clock::Clock;
use crate::host::ids::Ids;
use crate::i18n::Lang;
use crate::transport::Loss;
use crate::transport::web::{Limits, Request, Trust, Web};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The pause between two looks at a payment.
const LOOK_GAP: Duration = Duration::from_secs(1);

/// How long an unclear payment is followed before the terminal is given back: the daemon goes on asking.
const FOLLOW_UNCLEAR: Duration = Duration::from_secs(150);

/// How often a payment is asked for while the answers are lost.
const STARTS_MAX: u32 = 10;

/// What `kassad pay` collects.
pub(super) struct Wish {
    pub(super) order: String,
    pub(super) tender: String,
    pub(super) phone: Option<String>,
    pub(super) amount: Option<String>,
}

/// The running daemon, as its local API shows it.
pub(super) struct Client {
    web: Web,
    lang: Lang,
}

impl Client {
    fn open(config: &Path, lang: Lang) -> Result<Client, ExitCode> {
        Client::of(&read_config(config)?, lang).map_err(|cause| {
            complain(&cause);
            ExitCode::FAILURE
        })
    }

    /// The daemon of a configuration.
    pub(super) fn of(config: &Config, lang: Lang) -> Result<Client, String> {
        let web = Web::open(&format!("http://{}", config.listen.local_here()), &Trust::Roots);
        web.map(|web| Client { web, lang }).map_err(|cause| cause.to_string())
    }

    /// Whether it runs.
    pub(super) async fn is_up(&self) -> bool {
        self.try_call(Request::get("/healthz")).await.is_ok()
    }

    /// Calls it; what went wrong is told as a sentence.
    pub(super) async fn call(&self, request: Request) -> Result<Value, String> {
        self.try_call(request).await.map_err(|loss| match loss {
            Trouble::Away(cause) => format!("kassad does not answer ({cause}): is it running? systemctl status kassad"),
            Trouble::Lost(cause) => format!("the answer was lost ({cause}): look with kassad queue"),
            Trouble::Refused(_, text) => text,
        })
    }

    async fn try_call(&self, request: Request) -> Result<Value, Trouble> {
        let request = request.query("lang", self.lang.word());
        let answer = self.web.send(&request, Limits::LIST).await.map_err(|loss| match loss {
            Loss::NotSent(cause) => Trouble::Away(cause.text),
            Loss::Unknown(cause) => Trouble::Lost(cause.text),
        })?;
        let body = answer.json().unwrap_or(Value::Null);
        if (200..300).contains(&answer.status) {
            return Ok(body);
        }
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (title, detail) = (text("title"), text("detail"));
        let more = if detail.is_empty() || title.contains(&detail) { String::new() } else { format!(" ({detail})") };
        let told = format!("{} {title}{more}", answer.status);
        Err(Trouble::Refused(answer.status, told))
    }

    /// Asks for a payment under one key until the daemon's word is here: what was lost once is asked for again, and made once (H2).
    async fn start(&self, key: &str, body: &Value, clock: &Clock) -> Result<Value, (String, ExitCode)> {
        let mut lost = None;
        for _ in 0..STARTS_MAX {
            let request = Request::post("/api/v1/payments").header("idempotency-key", key).json(body.to_string());
            let trouble = match self.try_call(request).await {
                Ok(payment) => return Ok(payment),
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Away(cause) if lost.is_none() => {
                    let text = format!("kassad does not answer ({cause}): is it running? systemctl status kassad");
                    return Err((text, ExitCode::FAILURE));
                }
                // Only a clear no ends it; after a loss "not now" leaves open whether the first one was taken.
                Trouble::Refused(status, text) if lost.is_none() || status < 500 => {
                    return Err((text, ExitCode::FAILURE));
                }
                Trouble::Away(cause) | Trouble::Lost(cause) | Trouble::Refused(_, cause) => lost = Some(cause),
            }
            clock.sleep(LOOK_GAP).await;
        }
        let cause = lost.unwrap_or_default();
        Err((
            format!("the answer was lost ({cause}): look with kassad queue before asking again"),
            ExitCode::from(EXIT_UNCLEAR),
        ))
    }
}

/// Why a call brought nothing.
enum Trouble {
    /// Nobody was reached.
    Away(String),
    /// Sent, and the answer did not come.
    Lost(String),
    /// Answered otherwise, with its status.
    Refused(u16, String),
}

pub(super) async fn pay(config: &Path, lang: Lang, wish: &Wish, as_json: bool) -> ExitCode {
    let client = match Client::open(config, lang) {
        Ok(client) => client,
        Err(ended) => return ended,
    };
    let mut body = json!({ "order_id": wish.order, "tender": wish.tender });
    if let Some(phone) = &wish.phone {
        body["phone"] = json!(phone);
    }
    if let Some(amount) = &wish.amount {
        body["amount"] = json!(amount);
    }
    let key = format!("cli-{}", Ids::machine().name(16));
    let payment = match client.start(&key, &body, &Clock::machine()).await {
        Ok(payment) => payment,
        Err((problem, ended)) => {
            complain(&problem);
            return ended;
        }
    };
    let id = payment["id"].as_str().unwrap_or_default().to_owned();
    follow(&client, &id, as_json).await
}

/// Follows a payment to its end, and says every change once.
async fn follow(client: &Client, id: &str, as_json: bool) -> ExitCode {
    let clock = Clock::machine();
    let mut said = String::new();
    let mut unclear_since = None;
    loop {
        match client.call(Request::get(format!("/api/v1/payments/{id}"))).await {
            Ok(payment) => {
                let state = payment["state"].as_str().unwrap_or_default().to_owned();
                if state != said && !as_json {
                    let reason = payment["reason"]["text"].as_str().unwrap_or_default();
                    let text = payment["state_text"].as_str().unwrap_or_default();
                    say(&format!("{id}  {text} {reason}"));
                    said.clone_from(&state);
                }
                let now = clock.now();
                let is_stuck = state == "unresolved" && now.since(*unclear_since.get_or_insert(now)) >= FOLLOW_UNCLEAR;
                if state != "unresolved" {
                    unclear_since = None;
                }
                let ended = match state.as_str() {
                    "paid" => Some(ExitCode::SUCCESS),
                    "failed" | "cancelled" | "expired" => Some(ExitCode::FAILURE),
                    _ if is_stuck => Some(ExitCode::from(EXIT_UNCLEAR)),
                    _ => None,
                };
                if let Some(ended) = ended {
                    if as_json {
                        say(&payment.to_string());
                    }
                    return ended;
                }
            }
            // The daemon may be restarting: the payment goes on without us.
            Err(problem) => complain(&problem),
        }
        tokio::select! {
            () = clock.sleep(LOOK_GAP) => {}
            () = super::run::told_to_stop() => {
                complain(&format!("not followed any more; the payment {id} goes on"));
                return ExitCode::from(EXIT_UNCLEAR);
            }
        }
    }
}

pub(super) async fn queue(config: &Path, lang: Lang, as_json: bool, action: QueueAction) -> ExitCode {
    let client = match Client::open(config, lang) {
        Ok(client) => client,
        Err(ended) => return ended,
    };
    let answered = match action {
        QueueAction::List => list(&client, as_json).await,
        QueueAction::Show { id } => show(&client, &id).await,
        QueueAction::Retry { id } => {
            let done = client.call(Request::post(format!("/api/v1/jobs/{id}/retry"))).await;
            done.map(|job| say(&format!("{id}  {}", job["state"].as_str().unwrap_or_default())))
        }
        QueueAction::Answer { id, by, because, outcome, confirmed, transaction } => {
            let body = json!({
                "by": by, "because": because, "outcome": outcome, "transaction": transaction, "confirmed": confirmed,
            });
            let is_question = id.bytes().all(|byte| byte.is_ascii_digit());
            let is_refund = id.rsplit_once("-r").is_some_and(|(_, no)| no.bytes().all(|byte| byte.is_ascii_digit()));
            let what = match (is_question, is_refund) {
                (true, _) => "questions",
                (false, true) => "refunds",
                (false, false) => "payments",
            };
            let request = Request::post(format!("/api/v1/{what}/{id}/answer")).json(body.to_string());
            client
                .call(request)
                .await
                .map(|shown| say(&format!("{id}  {}", shown["state"].as_str().unwrap_or_default())))
        }
    };
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

async fn list(client: &Client, as_json: bool) -> Result<(), String> {
    let jobs = client.call(Request::get("/api/v1/jobs")).await?;
    let status = client.call(Request::get("/api/v1/status")).await?;
    if as_json {
        say(&json!({ "jobs": jobs["jobs"], "questions": status["questions"] }).to_string());
        return Ok(());
    }
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    for question in items(&status["questions"]) {
        let about = question["payment"].as_str().map_or_else(|| question["id"].to_string(), str::to_owned);
        say(&format!("? {about:<16} №{:<8} {}", text(&question, "order_number"), text(&question, "text")));
    }
    for job in items(&jobs["jobs"]) {
        say(&format!(
            "  {:<6} {:<6} {:<10} №{:<8} {:<14} {:<8} {}",
            job["id"],
            text(&job, "kind"),
            text(&job, "target"),
            text(&job, "order_number"),
            text(&job, "document"),
            text(&job, "state"),
            text(&job, "text"),
        ));
    }
    if items(&status["questions"]).is_empty() && items(&jobs["jobs"]).is_empty() {
        say("—");
    }
    Ok(())
}

async fn show(client: &Client, id: &str) -> Result<(), String> {
    let is_job = id.bytes().all(|byte| byte.is_ascii_digit());
    let shown = if is_job {
        let jobs = client.call(Request::get("/api/v1/jobs")).await?;
        let found = jobs["jobs"]
            .as_array()
            .and_then(|jobs| jobs.iter().find(|job| job["id"].as_i64() == id.parse().ok()))
            .cloned();
        found.ok_or_else(|| format!("there is no open job {id}"))?
    } else {
        client.call(Request::get(format!("/api/v1/payments/{id}"))).await?
    };
    say(&serde_json::to_string_pretty(&shown).unwrap_or_default());
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::time::Wall;
    use std::collections::BTreeSet;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A daemon that loses its first answers; what it was asked under, and how the client ended.
    async fn start(losses: usize) -> (Vec<String>, Result<Value, (String, ExitCode)>) {
        let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let client = Client { web: Web::open(&address, &Trust::Roots).unwrap(), lang: Lang::En };
        let (clock, keys) = (Clock::manual(Wall(0)), std::sync::Mutex::new(Vec::new()));
        let serve = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (mut all, mut piece) = (String::new(), [0; 1024]);
                while !all.ends_with("{\"a\":1}") {
                    let count = stream.read(&mut piece).await.unwrap();
                    all.push_str(std::str::from_utf8(&piece[..count]).unwrap());
                }
                let key = all.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).unwrap().to_owned();
                keys.lock().unwrap().push(key);
                if keys.lock().unwrap().len() > losses {
                    let answer =
                        "HTTP/1.1 201 Created\r\ncontent-length: 10\r\nconnection: close\r\n\r\n{\"id\":\"x\"}";
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        };
        let time = async {
            loop {
                clock.advance(LOOK_GAP);
                tokio::task::yield_now().await;
            }
        };
        let body = json!({ "a": 1 });
        let ended = tokio::select! {
            ended = client.start("cli-1", &body, &clock) => ended,
            () = serve => unreachable!(),
            () = time => unreachable!(),
        };
        (keys.into_inner().unwrap(), ended)
    }

    #[tokio::test]
    async fn a_lost_answer_is_asked_for_again_under_the_same_key() {
        let (keys, ended) = start(3).await;
        assert_eq!(ended.unwrap()["id"], "x");
        assert_eq!((keys.len(), keys.into_iter().collect::<BTreeSet<_>>()), (4, BTreeSet::from(["cli-1".to_owned()])));
    }

    #[tokio::test]
    async fn an_answer_that_never_comes_is_unclear() {
        let (keys, ended) = start(usize::MAX).await;
        assert_eq!(keys.len(), 10);
        assert_eq!(ended.unwrap_err().1, ExitCode::from(EXIT_UNCLEAR));
    }
}
