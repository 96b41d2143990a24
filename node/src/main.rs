//! `skerry`: the node, its monitors and its command line in one program.
//!
//! Only decides which of them this process is. A monitor and its relatives are told by the first
//! word before anything else is set up, since they must stay small and single-threaded. Everything
//! else is a verb of the command line: go on in `cli.rs`.

use std::process::ExitCode;

mod api;
mod cli;
mod client;

mod node {
    //! The node process.

    /// Runs the node until it is told to end.
    pub fn main(_args: crate::cli::NodeArgs) -> anyhow::Result<()> {
        anyhow::bail!("the node process is not part of this build")
    }
}

fn main() -> ExitCode {
    cli::main()
}
