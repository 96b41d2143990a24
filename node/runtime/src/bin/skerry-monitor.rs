//! The monitor alone, for tests and measurements of this crate; the product is the `skerry` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    skerry_runtime::monitor::dispatch(std::env::args_os()).unwrap_or_else(|| {
        eprintln!("usage: skerry-monitor monitor RUN_DIR");
        ExitCode::from(2)
    })
}
