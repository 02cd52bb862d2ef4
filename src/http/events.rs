//! Server-sent events: every committed change with its journal number, resumable with `Last-Event-ID`; devices and the POS board besides.

use super::Faces;
use super::guard::Visitor;
use crate::domain::ids::{AttemptId, JobId, OrderId, Seq};
use crate::flows::keys;
use crate::workers::pos::Board;
use crate::workers::{Device, Ear};
use axum::Router;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures_util::{Stream, stream};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Changes that a page gets at once when it comes back.
const CATCH_UP_MAX: u32 = 500;

/// The route of the event stream.
pub fn routes() -> Router<Arc<Faces>> {
    Router::new().route("/api/v1/events", get(events))
}

struct Line {
    faces: Arc<Faces>,
    ear: Ear,
    devices: watch::Receiver<BTreeMap<String, Device>>,
    board: Option<watch::Receiver<Board>>,
    last: Seq,
    ready: VecDeque<Event>,
    /// The device of the LAN that listens; its stream ends with its key.
    device: Option<String>,
}

async fn events(
    State(faces): State<Arc<Faces>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let resumed = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok()).map(Seq);
    let ear = faces.office.listen();
    let last = resumed.unwrap_or_else(|| faces.office.look(|view| view.last_seq()).unwrap_or(Seq(0)));
    let mut line = Line {
        ear,
        devices: faces.office.devices.listen(),
        board: faces.counter.as_ref().map(|counter| counter.listen()),
        last,
        ready: VecDeque::from([Event::default().event("hello").data("{}")]),
        faces,
        device: match visitor {
            Visitor::Device(id) => Some(id),
            Visitor::Unnamed => None,
        },
    };
    line.collect();
    let stop = line.faces.office.stop.clone();
    let lines = stream::unfold(line, |mut line| async move { line.next().await.map(|event| (Ok(event), line)) });
    Sse::new(futures_util::StreamExt::take_until(lines, Box::pin(async move { stop.wait().await })))
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

impl Line {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.is_signed_out() {
                return None;
            }
            let board = async {
                match &mut self.board {
                    Some(board) => board.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.ear.changed() => self.collect(),
                told = self.devices.changed() => {
                    told.ok()?;
                    self.ready.push_back(plain("device"));
                }
                is_told = board => {
                    if !is_told {
                        return None;
                    }
                    self.ready.push_back(plain("board"));
                }
            }
        }
    }

    fn is_signed_out(&self) -> bool {
        let Some(id) = &self.device else { return false };
        let known = self.faces.office.look(|view| keys::list(&view)).unwrap_or_default();
        !known.iter().any(|key| key.id == *id)
    }

    /// Takes everything that was committed since the last event from the journal itself: nothing is missed, nothing comes twice.
    fn collect(&mut self) {
        let (faces, last) = (self.faces.clone(), self.last);
        let changes = faces.office.look(|view| {
            let rows = view.changes_after(last, CATCH_UP_MAX)?;
            rows.into_iter()
                .map(|(seq, kind, subject)| {
                    let (payment, order) = match kind.as_str() {
                        "attempt" => {
                            let row = view.attempt(AttemptId(subject))?;
                            (Some(row.reference), Some(row.order))
                        }
                        "order" => (None, Some(OrderId(subject))),
                        "job" => (None, Some(view.job(JobId(subject))?.order)),
                        _ => (None, None),
                    };
                    let order_id = match order {
                        Some(order) => Some(view.order(order)?.snapshot.foreign_id),
                        None => None,
                    };
                    Ok((seq, json!({ "seq": seq, "kind": kind, "payment": payment, "order_id": order_id })))
                })
                .collect::<Result<Vec<(Seq, Value)>, _>>()
        });
        for (seq, data) in changes.unwrap_or_default() {
            self.last = seq;
            self.ready.push_back(Event::default().event("change").id(seq.to_string()).data(data.to_string()));
        }
    }
}

fn plain(kind: &str) -> Event {
    Event::default().event("change").data(json!({ "seq": null, "kind": kind }).to_string())
}
