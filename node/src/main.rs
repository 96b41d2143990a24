//! `skerry`: the node, its monitors and its command line in one program.
//!
//! Only decides which of them this process is. A monitor and its relatives are told by the first
//! word before anything else is set up, since they must stay small and single-threaded. Everything
//! else is a verb of the command line: go on in `cli.rs`, or in `node.rs` for the node process.

use std::process::ExitCode;

mod api;
mod audit;
mod check;
mod cli;
mod client;
mod clock;
mod config;
mod containers;
mod down;
mod durable;
#[cfg(feature = "generate")]
#[path = "../../packaging/generate.rs"]
mod generate;
mod http;
mod identity;
mod inbox;
mod ledger;
mod levels;
mod link;
mod node;
mod notify;
mod outbox;
mod probe;
mod quiet;
mod readable;
mod reconciler;
mod reload;
mod reporter;
mod secrets;
mod store;
mod sweep;
mod timekeeper;
mod troubles;
mod volumes;
mod wake;
mod zone;

fn main() -> ExitCode {
    #[cfg(feature = "generate")]
    if let Some(code) = generate::dispatch(std::env::args_os(), cli::grammar()) {
        return code;
    }
    skerry_runtime::monitor::dispatch(std::env::args_os())
        .or_else(|| skerry_runtime::oci::dispatch(std::env::args_os()))
        .or_else(|| cli::probe(std::env::args_os()))
        .unwrap_or_else(cli::main)
}
