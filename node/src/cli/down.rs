//! `skerry down` and `skerry up`: stops everything in order, and lets it run again.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use skerry_core::units::Span;
use tokio::time::Instant;

use super::failure::Refusal;
use super::output;
use super::secret::agents;
use crate::client::Client;

/// Stops every agent, those that others depend on last, and then the node.
///
/// Each agent has its own grace, and is killed after it. If a service manager would start the node
/// again, the node stays and starts nothing until `skerry up` or a restart of the machine; else its
/// process ends. What must run stays as it is written: after a restart of the machine it runs.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Wait at most so long; the node goes on with it
    #[arg(long, value_name = "TIME", default_value = "10m")]
    timeout: Span,
}

/// Stops everything, and waits until it is done.
pub async fn down(client: &Client, args: &DownArgs) -> anyhow::Result<ExitCode> {
    let limit = Duration::from_millis(args.timeout.millis);
    let deadline = Instant::now() + limit;
    let mut left = Vec::new();
    loop {
        let asked = tokio::time::timeout_at(deadline, Box::pin(client.down())).await;
        let Ok(answer) = asked else {
            let text = format!("not everything has stopped within {}", args.timeout);
            let who = match left.is_empty() {
                true => String::new(),
                false => format!(" ({})", agents(&left)),
            };
            return Err(Refusal(format!("{text}{who}; the node goes on with it")).into());
        };
        let answer = answer?;
        if answer.done {
            let text = match answer.ends {
                true => "everything is stopped, and the node has ended",
                false => "everything is stopped, and stays so until: skerry up",
            };
            output::line(text)?;
            return Ok(ExitCode::SUCCESS);
        }
        left = answer.left;
    }
}

/// Lets everything run again.
pub async fn up(client: &Client) -> anyhow::Result<ExitCode> {
    client.up().await?;
    output::line("what must run is started again; see: skerry ps")?;
    Ok(ExitCode::SUCCESS)
}
