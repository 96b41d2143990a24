//! `skerry inspect`: everything known of agents, as a JSON list.

use std::process::ExitCode;

use super::changes::Names;
use super::{failure, output};
use crate::client::Client;

/// Prints what is known; an agent that is not known is told, and fails the verb at its end.
pub async fn inspect(client: &Client, args: &Names) -> anyhow::Result<ExitCode> {
    let (mut found, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for name in &args.names {
        match client.agent(name).await {
            Ok(detail) => found.push(detail),
            Err(error) if error.is_not_found() => {
                code = failure::tell(&error.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    output::json(&found)?;
    Ok(code)
}
