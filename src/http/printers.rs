//! Printers on the local API: how they are, the test slip, and the line of it that a person found right (escpos §2.2: a page number means
//! nothing without the model, so eyes decide). The worker of the printer does it; a face only asks.

use super::Faces;
use super::api::Asked;
use super::problem::Problem;
use crate::domain::outcome::Reason;
use crate::drivers::printer::{self, Candidate, Profile, Way};
use crate::i18n::{self, Lang};
use crate::workers::Errand;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::sync::Arc;

/// The routes of printers.
pub fn routes() -> Router<Arc<Faces>> {
    Router::new()
        .route("/api/v1/printers", get(list))
        .route("/api/v1/printers/{name}/test", post(test))
        .route("/api/v1/printers/{name}/letters", post(letters))
}

async fn list(State(faces): State<Arc<Faces>>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let devices = asked.faces.office.devices.all();
    let printers: Vec<Value> = asked
        .faces
        .printers
        .iter()
        .map(|(name, profile)| {
            let device = devices.get(name);
            let state = device.map_or("unknown", |device| device.state);
            let code = device.map_or("", |device| device.code.as_str());
            let text = if code.is_empty() { String::new() } else { i18n::sentence(asked.lang, code, &[]) };
            json!({ "name": name, "state": state, "code": code, "text": text, "candidates": candidates(profile, asked.lang) })
        })
        .collect();
    asked.told(Ok(json!({ "printers": printers })))
}

/// The numbered lines of the test slip, as people may choose them.
fn candidates(profile: &Profile, lang: Lang) -> Vec<Value> {
    printer::candidates(profile).iter().map(|one| json!({ "number": one.number, "text": title(one, lang) })).collect()
}

/// A way to print letters in words: the table, its number, and how the rest comes to paper.
pub fn title(candidate: &Candidate, lang: Lang) -> String {
    let page = candidate.page.to_string();
    let args = [("letters", candidate.letters.word()), ("page", page.as_str())];
    let code = match candidate.way {
        Way::Page => "way.page",
        Way::Defined => "way.defined",
        Way::Raster => "way.raster",
    };
    i18n::sentence(lang, code, &args)
}

fn known<'a>(asked: &'a Asked, name: &str) -> Result<&'a Profile, Problem> {
    let found = asked.faces.printers.iter().find(|(known, _)| known == name);
    found.map(|(_, profile)| profile).ok_or_else(|| Problem::new(404, "no_printer", name))
}

async fn test(State(faces): State<Arc<Faces>>, Path(name): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let answer = test_it(&asked, &name).await;
    asked.told(answer)
}

async fn test_it(asked: &Asked, name: &str) -> Result<Value, Problem> {
    let profile = known(asked, name)?;
    asked.faces.office.errands.ask(name, Errand::Test).await.map_err(refused)?;
    Ok(json!({ "name": name, "state": "printed", "candidates": candidates(profile, asked.lang) }))
}

async fn letters(
    State(faces): State<Arc<Faces>>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let answer = letters_it(&asked, &name, &headers, body).await;
    asked.told(answer)
}

async fn letters_it(asked: &Asked, name: &str, headers: &HeaderMap, body: Body) -> Result<Value, Problem> {
    let profile = known(asked, name)?;
    let body = asked.body(headers, body).await?;
    let number = body["number"].as_u64().and_then(|number| u32::try_from(number).ok());
    let candidates = printer::candidates(profile);
    let chosen = candidates.iter().find(|one| Some(one.number) == number);
    let chosen = chosen.ok_or_else(|| Problem::bad("number: the number of a line of the test slip"))?;
    asked.faces.office.errands.ask(name, Errand::Letters(chosen.number)).await.map_err(refused)?;
    Ok(json!({ "name": name, "number": chosen.number, "text": title(chosen, asked.lang) }))
}

fn refused(reason: Reason) -> Problem {
    Problem::of_reason(503, &reason)
}
