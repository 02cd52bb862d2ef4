//! The command line (`contract.md`, "Command line"). Commands talk to the running daemon through its local API, or are a daemon themselves.

use crate::config::{Config, Fault};
use crate::i18n::Lang;
use crate::transport::child;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod check;
mod client;
mod demo;
mod devices;
mod doctor;
mod laws;
mod lunch;
mod print_test;
mod run;
mod sandbox;
mod setup;
mod way_in;

/// Where the configuration is, unless told.
const CONFIG: &str = "/etc/kassad/kassad.toml";

/// Exit status of a configuration that cannot be used.
const EXIT_CONFIG: u8 = 2;

/// Exit status when another daemon holds the ledger.
const EXIT_HELD: u8 = 3;

/// Exit status of a payment that is unclear.
const EXIT_UNCLEAR: u8 = 4;

/// The bridge at the restaurant counter: Kaspi payments, POS close, receipts and kitchen tickets through one durable ledger.
#[derive(Debug, Parser)]
#[command(name = "kassad", version, after_help = "Example: kassad demo --orders 35 --seed 1")]
struct Line {
    /// Language of what people read: kk, ru or en.
    #[arg(long, global = true, default_value = "ru", value_parser = ["kk", "ru", "en"])]
    lang: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon.
    #[command(after_help = "Example: kassad run --config /etc/kassad/kassad.toml")]
    Run {
        /// The configuration.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
    },
    /// Plays a whole restaurant on this machine: the daemon and all its partners, over their real protocols.
    #[command(
        after_help = "Examples: kassad demo            stays up: sell from the counter page, pay as the guest\n          kassad demo --orders 35 --seed 1   plays the lunch peak and ends with a table\n          kassad demo --tunnel ssh   notices come in through a real OpenSSH server"
    )]
    Demo {
        /// Sells this many orders, shows what happened, and ends.
        #[arg(long)]
        orders: Option<u32>,
        /// The same seed plays the same lunch.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Guests decide at once.
        #[arg(long)]
        no_wait: bool,
        /// Keeps the ledger in this folder; a fresh one otherwise.
        #[arg(long)]
        data: Option<PathBuf>,
        /// How notices come in: straight, or through this machine's own OpenSSH server, started for the demo on a port of its own.
        #[arg(long, default_value = "none", value_parser = ["none", "ssh"])]
        tunnel: String,
    },
    /// Runs only the partners, for integrators to develop against.
    #[command(after_help = "Example: kassad sandbox --config config/kassad.toml")]
    Sandbox {
        /// Listens where this configuration looks for its partners.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Checks the configuration; with --ledger, the journal of the ledger as well.
    #[command(
        after_help = "Examples: kassad check --config config/kassad.toml\n          kassad check --ledger /var/lib/kassad/ledger.db"
    )]
    Check {
        /// The configuration.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        /// Walks the journal of this ledger (of the configuration's when no file is named) and finds edited or removed rows.
        #[arg(long, num_args = 0..=1, default_missing_value = "")]
        ledger: Option<String>,
    },
    /// Looks the whole shop over, changes nothing, and says the cure of what is wrong. Exit status: 0 green, 1 yellow, 2 red.
    #[command(
        after_help = "Example: sudo kassad doctor --lang en\n         sudo kassad doctor --bundle /tmp/shop.txt   a text for support, without secrets and without guests"
    )]
    Doctor {
        /// The configuration of the daemon.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        /// Looks for dev, sys and run in this folder: the host's, from inside a container.
        #[arg(long, default_value = "/")]
        root: PathBuf,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
        /// Writes a text for support into this new file instead; asks where when no file is named.
        #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "", conflicts_with = "json")]
        bundle: Option<String>,
    },
    /// Asks what the configuration needs, one question at a time, and writes it at the end; run it again to change something.
    #[command(
        after_help = "Examples: sudo kassad setup --lang kk\n          kassad setup --config ./kassad.toml --secrets /run/keys"
    )]
    Setup {
        /// The configuration to write.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        /// The folder for secrets; beside the configuration without it.
        #[arg(long)]
        secrets: Option<PathBuf>,
        /// Looks for devices in this folder: the host's, from inside a container.
        #[arg(long, default_value = "/")]
        root: PathBuf,
    },
    /// Shows what is plugged in, with the line for the configuration.
    #[command(after_help = "Example: kassad devices\n         kassad devices --lan\n         kassad devices --json")]
    Devices {
        /// Also connects to port 9100 of each known neighbour on the LAN, to see which of them are printers; sends nothing.
        #[arg(long)]
        lan: bool,
        /// Looks for dev and sys in this folder: the host's, from inside a container.
        #[arg(long, default_value = "/")]
        root: PathBuf,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints the test slip of a printer, and keeps which of its lines reads right.
    #[command(
        after_help = "Examples: kassad print-test --printer receipt            prints, then asks for the number of the line\n          kassad print-test --printer receipt --keep 3   keeps line 3\n          kassad print-test --pictures /tmp/paper        draws sample papers, no printer needed"
    )]
    PrintTest {
        /// The configuration of the daemon.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        /// The printer's name in the configuration; not needed when there is only one.
        #[arg(long)]
        printer: Option<String>,
        /// Prints nothing, and keeps this line of the slip.
        #[arg(long)]
        keep: Option<u32>,
        /// Draws the sample papers into this folder instead: both widths, every way of printing letters.
        #[arg(long, conflicts_with_all = ["printer", "keep"])]
        pictures: Option<PathBuf>,
    },
    /// Collects a payment through the running daemon and follows it to its end.
    #[command(after_help = "Example: kassad pay --order 1950 --tender kaspi_invoice --phone 77011234567")]
    Pay {
        /// The configuration of the running daemon.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        /// The order's number in the POS.
        #[arg(long)]
        order: String,
        /// kaspi_terminal, kaspi_invoice, kaspi_qr or cash.
        #[arg(long, default_value = "kaspi_terminal")]
        tender: String,
        /// The guest's phone, for kaspi_invoice.
        #[arg(long)]
        phone: Option<String>,
        /// A part of the sum, in tenge.
        #[arg(long)]
        amount: Option<String>,
        /// Prints the payment as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Becomes a program that ends when we end.
    #[command(name = child::COMMAND, hide = true)]
    Child(Program),
    /// What still has to happen, and what waits for a person.
    #[command(
        after_help = "Examples: kassad queue\n          kassad queue retry 17\n          kassad queue answer K3F9Q-12-1-1 --by Айгерим --because \"видела в Kaspi Pay\" --outcome paid --transaction 5551"
    )]
    Queue {
        /// The configuration of the running daemon.
        #[arg(long, global = true, default_value = CONFIG)]
        config: PathBuf,
        /// Prints JSON.
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        action: Option<QueueAction>,
    },
}

/// The words of the hidden command.
#[derive(Debug, clap::Args)]
struct Program {
    /// The process that starts it.
    parent: u32,
    /// The program and its words.
    #[arg(last = true, required = true)]
    words: Vec<OsString>,
}

/// Becomes a program that ends with us; comes back only when that failed.
fn become_program(program: &Program) -> ExitCode {
    let cause = child::become_program(program.parent, &program.words);
    complain(&format!("the tunnel's program cannot be started: {cause}"));
    ExitCode::from(child::EXIT_NO_PROGRAM)
}

#[derive(Debug, Subcommand)]
enum QueueAction {
    /// Everything that is open (the default).
    List,
    /// One payment or job.
    Show {
        /// A payment's reference or a job's number.
        id: String,
    },
    /// Does a job again now.
    Retry {
        /// The job's number.
        id: i64,
    },
    /// Answers a question by hand.
    Answer {
        /// A payment's or refund's reference, or a question's number.
        id: String,
        /// Who answers.
        #[arg(long)]
        by: String,
        /// Why.
        #[arg(long)]
        because: String,
        /// Of a payment: paid or not_paid; of a refund: returned or not_returned.
        #[arg(long)]
        outcome: Option<String>,
        /// With not_paid and not_returned: yes, it was looked up, and it is so.
        #[arg(long)]
        confirmed: bool,
        /// Of a paid payment: the number in Kaspi Pay.
        #[arg(long)]
        transaction: Option<String>,
    },
}

/// Runs one command and returns its exit status.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match Line::try_parse_from(args) {
        Ok(line) => line,
        Err(told) => {
            // Help and version are no errors; clap knows which is which.
            let _printed = told.print().is_ok();
            return if told.use_stderr() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::SUCCESS };
        }
    };
    // Before there are threads.
    if let Command::Child(program) = &line.command {
        return become_program(program);
    }
    let lang = Lang::from_word(&line.lang).unwrap_or(Lang::Ru);
    // TLS on ring; a second installation (tests) changes nothing.
    let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(4).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(cause) => {
            complain(&format!("cannot start: {cause}"));
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(dispatch(line.command, lang));
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    ended
}

async fn dispatch(command: Command, lang: Lang) -> ExitCode {
    match command {
        Command::Run { config } => run::run(&config).await,
        Command::Demo { orders, seed, no_wait, data, tunnel } => {
            demo::demo(demo::Wish { orders, seed, no_wait, data, is_tunnelled: tunnel == "ssh" }).await
        }
        Command::Child(program) => become_program(&program),
        Command::Sandbox { config } => sandbox::sandbox(config.as_deref()).await,
        Command::Check { config, ledger } => check::check(&config, ledger.as_deref()),
        Command::Doctor { config, root, json, bundle } => {
            let wish =
                doctor::Wish { config: &config, root: &root, as_json: json, bundle: bundle.as_deref().map(Path::new) };
            doctor::doctor(&wish, lang).await
        }
        Command::Setup { config, secrets, root } => {
            let at = setup::Where { config: &config, secrets: secrets.as_deref(), root: &root };
            setup::setup(&at, lang).await
        }
        Command::Devices { lan, root, json } => devices::devices(&root, lang, lan, json).await,
        Command::PrintTest { pictures: Some(folder), .. } => print_test::pictures(&folder),
        Command::PrintTest { config, printer, keep, pictures: None } => {
            print_test::print_test(&config, lang, &print_test::Wish { printer, keep }).await
        }
        Command::Pay { config, order, tender, phone, amount, json } => {
            client::pay(&config, lang, &client::Wish { order, tender, phone, amount }, json).await
        }
        Command::Queue { config, json, action } => {
            client::queue(&config, lang, json, action.unwrap_or(QueueAction::List)).await
        }
    }
}

/// Reads the configuration, or tells all its faults.
fn read_config(path: &Path) -> Result<Config, ExitCode> {
    Config::read(path).map_err(|faults| {
        complain_of(path, &faults);
        ExitCode::from(EXIT_CONFIG)
    })
}

fn complain_of(path: &Path, faults: &[Fault]) {
    for fault in faults {
        let place = match fault.line {
            // The file itself is the fault: its name is the key.
            0 => fault.key.clone(),
            line => format!("{}:{line}: {}", path.display(), fault.key),
        };
        complain(&format!("{place}: {}. {}", fault.problem, fault.cure));
    }
}

/// A line for people, on standard output. A closed pipe is the reader's choice.
fn say(text: &str) {
    let _said = writeln!(std::io::stdout(), "{text}").is_ok();
}

/// A line for people, on standard error.
fn complain(text: &str) {
    let _said = writeln!(std::io::stderr(), "kassad: {text}").is_ok();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_read_as_its_help_says() {
        let read = |words: &[&str]| Line::try_parse_from([&["kassad"], words].concat());
        for good in [
            &["check", "--ledger", "--config", "x"][..],
            &["check", "--ledger", "ledger.db"],
            &["queue", "retry", "17"],
            &["doctor", "--config", "x", "--json"],
            &["doctor", "--bundle"],
            &["doctor", "--bundle", "/tmp/shop.txt"],
            &["setup", "--config", "x", "--secrets", "/run/keys"],
            &["devices", "--json", "--root", "/host"],
            &["print-test", "--printer", "receipt", "--keep", "3"],
            &["print-test", "--pictures", "/tmp/paper"],
            &["--lang", "kk", "queue"],
            &["demo", "--orders", "35", "--seed", "1", "--no-wait"],
            &["demo", "--tunnel", "ssh"],
        ] {
            assert!(read(good).is_ok(), "{good:?}: {}", read(good).unwrap_err());
        }
        assert!(read(&["--lang", "xx", "queue"]).is_err());
        assert!(read(&["demo", "--orders", "many"]).is_err());
        assert!(read(&["demo", "--tunnel", "carrier-pigeon"]).is_err());
    }
}
