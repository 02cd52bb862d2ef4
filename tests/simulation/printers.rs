//! Printers as the world has them: they take bytes over a line inside the process, answer questions in real time, print what ends with a
//! cut, run out of paper with a document in their memory, lose their line at any byte, and some never answer at all.

use super::engine::WORLD;
use super::plan::{Kind, Mutant};
use super::world::{Paper, Sim};
use futures_util::FutureExt;
use kassad::transport::wire::Dial;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// `печать ` and `ПОВТОР` on page 866.
const JOB: [u8; 7] = [0xAF, 0xA5, 0xE7, 0xA0, 0xE2, 0xEC, 0x20];
const REPEAT: [u8; 6] = [0x8F, 0x8E, 0x82, 0x92, 0x8E, 0x90];

/// `GS a` and `DLE DC4` fn 8.
const UNASKED: [u8; 3] = [0x1D, 0x61, 0x0E];
const CLEAR: [u8; 10] = [0x10, 0x14, 0x08, 0x01, 0x03, 0x14, 0x01, 0x06, 0x02, 0x08];

/// No question is longer: what follows so many bytes is a document.
const QUESTION_BYTES: usize = 12;

/// The longest document in bytes, about: where a line may break.
const DOCUMENT_BYTES: u64 = 900;

/// What a line holds: so much may be on its way when it breaks.
const LINE_BYTES: usize = 64;

/// The way to a printer.
pub fn way(sim: &Sim, name: &'static str, answers: bool) -> Dial {
    let sim = sim.clone();
    Arc::new(move || {
        let sim = sim.clone();
        async move {
            sim.step();
            if sim.strikes(Kind::PrinterOff) {
                is_out_for(&sim, &format!("off {name}"), 5_000, 120_000);
            }
            if is_out(&sim, &format!("off {name}")) {
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "off"));
            }
            let (ours, theirs) = tokio::io::duplex(LINE_BYTES);
            // The wire is kept: only a document in hand is an affair that must end.
            sim.0.hand.start(WORLD, print(sim.clone(), name, answers, theirs));
            Ok(ours)
        }
        .boxed()
    })
}

fn is_out(sim: &Sim, what: &str) -> bool {
    let (now, world) = (sim.now(), sim.world());
    !world.is_calm && world.down_until.get(what).is_some_and(|until| *until > now)
}

fn is_out_for(sim: &Sim, what: &str, from_ms: u64, to_ms: u64) {
    let until = sim.now().plus(Duration::from_millis(sim.between("printer out", from_ms, to_ms)));
    sim.world().down_until.insert(what.to_owned(), until);
}

async fn print(sim: Sim, name: &'static str, answers: bool, mut line: DuplexStream) {
    // A printer that proves nothing loses its line only while more must follow: later nobody could ever know.
    let most = if answers { DOCUMENT_BYTES } else { LINE_BYTES as u64 };
    let mut breaks_at = sim.strikes(Kind::WireCut).then(|| sim.pick("wire cut at", most));
    let paper = format!("paper {name}");
    let knows_names = answers && name == "hot";
    let (mut taken, mut document, mut piece) = (0, Vec::new(), [0; 512]);
    let mut in_hand: Option<InHand> = None;
    let mut papers = 0;
    while let Ok(count @ 1..) = line.read(&mut piece).await {
        for byte in &piece[..count] {
            if document.len() == QUESTION_BYTES && in_hand.is_none() {
                in_hand = Some(InHand::new(&sim));
                sim.step();
                if papers > 0 && sim.strikes(Kind::WireCut) {
                    breaks_at = Some(taken + sim.pick("wire cut at", most));
                }
                if papers > 0 && sim.strikes(Kind::PrinterOff) {
                    is_out_for(&sim, &format!("off {name}"), 5_000, 120_000);
                }
            }
            if is_out(&sim, &format!("off {name}")) {
                half(&sim, name, &document);
                return;
            }
            if breaks_at == Some(taken) {
                sim.world().tell(&format!("{name}: the line breaks at byte {taken}"));
                half(&sim, name, &document);
                return;
            }
            taken += 1;
            document.push(*byte);
            if document.ends_with(&[0x10, 0x04, *byte]) && document.len() >= 3 {
                document.truncate(document.len() - 3);
                // Bit 5 and 6 of the paper question: the roll is at its end.
                let reply = if *byte == 4 && is_out(&sim, &paper) { 0x72 } else { 0x12 };
                if answers && line.write_all(&[reply]).await.is_err() {
                    break;
                }
            } else if document.ends_with(&[0x1D, 0x72, 0x01]) {
                document.truncate(document.len() - 3);
                if sim.strikes(Kind::NoProof) {
                    continue;
                }
                // The daemon may be gone by now.
                let _heard = line.write_all(&[0x00]).await.is_ok();
            } else if ends_in_name(&document) {
                let name = document.split_off(document.len() - 4);
                document.truncate(document.len() - 7);
                // One printer of a day knows the better proof; the others swallow the question.
                if knows_names && !sim.strikes(Kind::NoProof) {
                    let answer = [&[0x37, 0x22], &name[..], &[0]].concat();
                    let _heard = line.write_all(&answer).await.is_ok();
                }
            } else if document.ends_with(&UNASKED) {
                document.truncate(document.len() - UNASKED.len());
            } else if document.ends_with(&CLEAR) {
                document.clear();
                if answers {
                    let _heard = line.write_all(&[0x37, 0x25, 0]).await.is_ok();
                }
            } else if is_cut(&document) {
                sim.sleep_ms(400).await;
                if sim.strikes(Kind::PaperEnds) {
                    is_out_for(&sim, &paper, 5_000, 90_000);
                    let keeps = !answers || sim.pick("keeps its memory", 2) == 0;
                    if !keeps {
                        half(&sim, name, &document);
                        return;
                    }
                    while is_out(&sim, &paper) {
                        sim.sleep_ms(1_000).await;
                    }
                }
                come_out(&sim, name, &document, true);
                document.clear();
                in_hand = None;
                papers += 1;
            }
        }
    }
    half(&sim, name, &document);
}

/// A document that a printer has begun to take.
struct InHand(Sim);

impl InHand {
    fn new(sim: &Sim) -> InHand {
        sim.world().affairs += 1;
        InHand(sim.clone())
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.world().affairs -= 1;
    }
}

/// `GS ( H` fn 48 with its four characters.
fn ends_in_name(document: &[u8]) -> bool {
    matches!(document, [.., 0x1D, 0x28, 0x48, 6, 0, 0x30, 0x30, _, _, _, _])
}

fn is_cut(document: &[u8]) -> bool {
    matches!(document, [.., 0x1D, 0x56, 0 | 1 | 0x30 | 0x31] | [.., 0x1D, 0x56, 0x41 | 0x42, _])
}

/// What is on the paper when the rest never came: something, if anything.
fn half(sim: &Sim, name: &'static str, document: &[u8]) {
    if document.len() > 20 {
        sim.world().note("half a paper".to_owned());
        come_out(sim, name, document, false);
    }
}

fn come_out(sim: &Sim, printer: &'static str, document: &[u8], is_whole: bool) {
    let at = |sign: &[u8]| document.windows(sign.len()).position(|window| window == sign);
    let digits = at(&JOB).map(|at| document[at + JOB.len()..].iter().take_while(|byte| byte.is_ascii_digit()));
    let job = digits.map_or(0, |digits| digits.fold(0, |job, digit| job * 10 + i64::from(digit - b'0')));
    let is_repeat = at(&REPEAT).is_some();
    let mut world = sim.world();
    if is_whole && job == 0 {
        world.violate(format!("{printer}: a paper without the number of its job"));
    }
    world.tell(&format!("{printer}: paper of job {job}, whole {is_whole}, repeat {is_repeat}"));
    let copies = match (is_whole, sim.0.plan.mutant) {
        (true, Some(Mutant::PaperLost)) => 0,
        (true, Some(Mutant::PaperTwice)) => 2,
        (_, _) => 1,
    };
    world.papers.extend((0..copies).map(|_| Paper { printer, job, is_repeat, is_whole }));
}
