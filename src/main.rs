//! The binary: reads the command line, starts the runtime, and is the only place that ends the process.

use std::process::ExitCode;

fn main() -> ExitCode {
    kassad::cli::main(std::env::args_os())
}
