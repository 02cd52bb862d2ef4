//! kassad: the bridge at a restaurant counter. The guest pays by Kaspi, and everything else happens by itself, once.
//!
//! **The one idea.** Decisions are pure values; one small shell does all the input and output; the ledger is written before the world is
//! touched; a restart is just one more event.
//!
//! # The house
//!
//! A floor names only floors below it (`tests/tidy.rs` checks the imports). `ledger` and `flows` never name `drivers` and `transport`:
//! they meet in `workers`.
//!
//! ```text
//! wiring                  main.rs   daemon
//! surfaces                http (listener places gate flood guard keys webhooks api refunds fiscal printers compat counter events health)   cli (run demo sandbox check setup doctor devices print-test pay queue)
//! hands       async       workers (terminal cloud pos fiscal printer display courier tunnel probe maintenance writer)
//! decisions   sync, tx    flows (intake collect settle fiscal print refund kitchen keys reconcile)  │  transport (serial tcp usb web ssh child discover whereabouts)
//! memory      SQLite      ledger                                                  │  drivers (terminal invoice pos fiscal printer display)
//! laws        pure        domain
//! beside                  host (clock ids secret tasks lock logging systemd)   config   i18n
//! practice                sandbox: the outside world as real servers on loopback
//! ```
//!
//! | Module | What it is |
//! |---|---|
//! | [`domain`] | money, orders, attempts, bills, paper: values and the functions that judge them; no clock, no database, no log |
//! | [`ledger`] | one SQLite file with one writer; orders, attempts, inbox, outbox, fiscal documents, questions, vault, the forgetting of people (`people`), its own counts for support (`census`), and the journal chained by hash; debug builds can stand still at a named commit (`halt`) |
//! | [`flows`] | decisions, each one ledger transaction: collect, take in, settle, register, give back, cook, reconcile |
//! | [`drivers`] | one partner's language per file: requests built and answers read by pure functions; [`drivers::KINDS`] lists them |
//! | [`transport`] | wires: web, TCP, serial, USB, the reverse forward by SSH, its keys (`ssh_key`), and tunnel programs as children; the only failure is [`transport::Loss`], which says whether a byte left; [`transport::discover`] finds what is plugged in by its identity, [`transport::whereabouts`] a printer on the LAN |
//! | [`workers`] | one task per outside thing: asks the ledger what is due, acts, tells the ledger what came of it; the tunnel's proves the way in from outside |
//! | [`http`] | the two listeners: the public one for webhooks, whole requests behind its gate, the local one for the page, the API and bots |
//! | [`cli`] | the commands, which are a daemon themselves or talk to the running one |
//! | [`daemon`] | wiring, supervision and the stop; the only file that spawns |
//! | [`config`] | the TOML as types; every fault has a line, a key and a cure |
//! | [`i18n`] | every sentence for people, in Kazakh, Russian and English |
//! | [`host`] | the machine: clocks, chance, secrets, what hides them and people in a text (`redact`), how many files may be open (`limits`), tasks, the lock of the ledger, the log, systemd |
//! | [`sandbox`] | AiPay, Poster, Webkassa, a Kaspi terminal, a ZVT terminal, printers and displays as real servers and lines, the machine's own `sshd`, and roads that go silent; used by the demo, by integrators and by the tests |
//!
//! # One payment, straight through
//!
//! 1. The cashier, a bot or the POS points at an order. [`flows::collect::plan`] writes the snapshot, the part and the attempt `planned`;
//!    a second live attempt for the part is refused.
//! 2. [`flows::collect::send`]: `planned → sent`, committed before the first byte. From here nothing is repeated, only asked.
//! 3. [`workers::terminal`] or [`workers::cloud`] runs the driver: start, [`flows::collect::accepted`] keeps the partner's name of the
//!    attempt, then inquiries until there is one [`domain::outcome::Outcome`].
//! 4. Meanwhile [`http::webhooks`] checks a notice over its raw bytes; [`flows::intake::receive`] keeps it, commits, and only then the
//!    sender gets its 200. The commit wakes step 3, which reads the partner's own record: a notice by itself moves no money.
//! 5. [`flows::collect::conclude`] gives the attempt its event through [`domain::attempt::Attempt::apply`]. When it is paid,
//!    [`flows::settle::paid`] writes the part, the close and the kitchen's tickets down in the same transaction.
//! 6. [`workers::pos`] looks, closes and looks again ([`flows::settle::look`]); [`flows::settle::receipt`] follows; [`workers::printer`]
//!    prints between [`flows::print::begin`] and [`flows::print::end`]. Where the receipt is ours to make, [`flows::fiscal::sell`] writes
//!    the document down instead, [`workers::fiscal`] binds its key and request, sends the same until the register answers, and
//!    [`flows::fiscal::registered`] has it printed; guests who would wait for long get a notice.
//! 7. What nobody can judge is `unresolved`: a red line, the asking goes on, and after two minutes a named person may answer
//!    ([`flows::collect::answer`]). Later evidence may still correct it.
//! 8. Money goes back by [`flows::refund`]: a saga of its own, never more than was paid, never begun twice.
//! 9. After a restart [`flows::reconcile::restart`] gives every attempt that was outside the event "unknown", and step 7 goes on. There
//!    is no other recovery code.
//!
//! # What always holds
//!
//! - **I1** Order of truth: the partner's own record, then a signed notice, then the terminal's answer, then our guess. Silence is never
//!   "not paid".
//! - **I2** Journal, then act: before each outside effect its row is durable; what came of it is committed after.
//! - **I3** Paid is a ratchet: no event leads back from it.
//! - **I4** One live collection per part of an order.
//! - **I5** Only what is safe to repeat is repeated: by a key, else by looking first, else by asking a person.
//! - **I6** The wall clock decides nothing about money: deadlines are monotonic, order is the journal's number.
//! - **I7** A print happens at least once, and one that may be a repeat says so.
//! - **I8** A webhook gets its 2xx after its raw body is durable.
//! - **I9** Money is an integer of tiyn.
//! - **I10** A person can always decide; who and why is on record.
//! - **I11** No state waits for ever without asking somebody.
//! - **I12** Quiet when healthy; one red line when money is unclear or without its receipt, and nothing else is red.
//! - **One receipt** What stayed of a payment is on record at the cash register once, what went back is returned once: each document is
//!   the difference to what is on record, and its key and request never change once a byte may have left.
//! - **H1** An answer that cannot be mapped is `Unknown`, never `Refused`.
//! - **H2** A key is bound to its content; the same key with other content is refused.
//! - **H3** There is one road: a restart, a lost wire, a lost webhook and "check again" are one event.
//!
//! # Deliberately absent
//!
//! Traits over the ledger, and mocks; events as the source of truth (rows and the journal give the same with less); actors; plug-ins; a
//! second way of recovery; sleeping as synchronisation; floats.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod drivers;
pub mod flows;
pub mod host;
pub mod http;
pub mod i18n;
pub mod ledger;
pub mod sandbox;
pub mod transport;
pub mod workers;
