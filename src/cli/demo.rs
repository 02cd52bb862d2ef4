//! `kassad demo`.
use std::path::PathBuf;
use std::process::ExitCode;

pub(super) async fn demo(_orders: Option<u32>, _seed: u64, _no_wait: bool, _data: Option<PathBuf>) -> ExitCode {
    std::future::ready(ExitCode::SUCCESS).await
}
