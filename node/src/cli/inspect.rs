//! `skerry inspect`: everything known of agents, as a JSON list.

use std::process::ExitCode;

use super::changes::Names;
use super::{failure, output};
use crate::client::Client;

/// Prints what is known, of an agent with replicas that of each; an agent that is not known is told, and fails the verb at its end.
pub async fn inspect(client: &Client, args: &Names) -> anyhow::Result<ExitCode> {
    let (mut found, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for name in &args.names {
        match client.agent(name).await {
            Ok(detail) => found.push(detail),
            Err(error) if error.is_not_found() => {
                let list = client.agents(None).await?;
                let Some(replicas) = list.replicas.get(name) else {
                    code = failure::tell(&error.into());
                    continue;
                };
                for name in replicas {
                    found.push(client.agent(name).await?);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    output::json(&found)?;
    Ok(code)
}
