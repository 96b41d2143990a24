//! `skerry-fleet`: the operator's tool.
//!
//! It keeps the keys, signs documents, publishes them, and shows what the nodes say of themselves.
//! It never runs on a node and imports nothing of one; what both know is in `skerry-core`. One file
//! for each verb; all that is kept is in [`workspace`]. Start with `sign.rs`.

mod audit;
mod broker;
mod ceremony;
mod cli;
mod demo;
mod enrol;
mod expiry;
mod files;
#[cfg(feature = "generate")]
#[path = "../../../packaging/generate.rs"]
mod generate;
mod heard;
mod images;
mod init;
mod judge;
mod key;
mod keys;
mod live;
mod nodes;
mod output;
mod passphrase;
mod publish;
mod release;
mod roots;
mod roster;
mod rotate;
mod sign;
mod status;
mod table;
#[cfg(test)]
mod testing;
mod time;
mod validate;
mod watch;
mod workspace;

fn main() -> std::process::ExitCode {
    #[cfg(feature = "generate")]
    if let Some(code) = generate::dispatch(std::env::args_os(), cli::grammar()) {
        return code;
    }
    cli::main()
}
