//! `skerry-fleet time serve`: tells nodes what time it is, signed.
//!
//! A device without a clock cannot know whether what it gets is current; it asks with a random nonce, and
//! believes whoever holds the director's timestamp key. It answers approved nodes alone, with this machine's
//! clock, and keeps nothing. A node never waits for it.

use std::time::Duration;

use clap::Subcommand;
use jiff::Timestamp;
use skerry_core::ids::NodeName;
use skerry_core::trust::signed_time::{NONCE_BYTES, Question, TIME_MAX, answer};
use skerry_core::trust::{Repository, Role, detached};
use skerry_sync::client::ClientError;
use skerry_sync::topics::{Name, UpKind};
use skerry_sync::{Client, Down, Message, Topic, Up};

use crate::output;
use crate::workspace::Workspace;

/// Between two attempts to reach the broker again.
const AGAIN: Duration = Duration::from_secs(3);

/// Tells nodes the time, signed, so that a wrong clock neither stops updates nor brings old ones back
#[derive(Debug, Subcommand)]
pub enum TimeVerb {
    /// Answer approved nodes that ask for the time, with this machine's clock, until interrupted
    Serve,
}

/// Why a question is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Unanswered {
    #[error("it is not approved; do: skerry-fleet nodes approve {0}")]
    Unknown(String),
    #[error("its question cannot be trusted: {0}")]
    Bad(String),
}

/// Answers until Ctrl-C.
pub async fn time(workspace: &Workspace, verb: &TimeVerb) -> anyhow::Result<()> {
    let TimeVerb::Serve = verb;
    // Asked for before anybody is told that the time is served.
    workspace.key(Repository::Director, Role::Timestamp)?;
    tokio::select! {
        ended = serve(workspace) => ended,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

async fn serve(workspace: &Workspace) -> anyhow::Result<()> {
    let tenant: Name = workspace.broker().tenant.parse()?;
    // The first time, a broker that is not there is a mistake to be told.
    let mut connection = listen(workspace, &tenant).await?;
    output::line(&format!("telling the time at {}; Ctrl-C ends", workspace.broker().url))?;
    loop {
        let (client, messages) = &mut connection;
        while let Some(message) = messages.recv().await {
            reply(workspace, client, &message).await?;
        }
        let lost = client.ended().await;
        output::line(&format!("{lost}; trying again"))?;
        connection = loop {
            tokio::time::sleep(AGAIN).await;
            if let Ok(connection) = listen(workspace, &tenant).await {
                break connection;
            }
        };
        output::line("telling the time again")?;
    }
}

type Connection = (Client, tokio::sync::mpsc::Receiver<Message>);

async fn listen(workspace: &Workspace, tenant: &Name) -> Result<Connection, ClientError> {
    let (client, messages) = Client::connect(workspace.broker()).await?;
    client.subscribe(vec![UpKind::Clock.filter(tenant, None)]).await?;
    Ok((client, messages))
}

/// Answers one question; what cannot be answered is told, and keeps nobody else waiting.
async fn reply(workspace: &Workspace, client: &Client, message: &Message) -> anyhow::Result<()> {
    let Topic::Up(address, Up::Clock) = &message.topic else { return Ok(()) };
    let node = address.node().as_str();
    let nonce = match nonce(workspace, node, &message.payload)? {
        Ok(nonce) => nonce,
        Err(why) => return output::line(&format!("{node} asked for the time: {why}")),
    };
    // Read anew: keys may be replaced while this runs.
    let key = workspace.key(Repository::Director, Role::Timestamp)?;
    let signed = answer(&nonce, Timestamp::now(), &[&key])?;
    let topic = Topic::Down(address.clone(), Down::Time);
    match client.publish(&topic, signed, false).await {
        Ok(()) => output::line(&format!("{node} was told the time")),
        Err(why) => output::line(&format!("{node} was not told the time: {why}")),
    }
}

/// The nonce of a question, if an approved node asks.
fn nonce(
    workspace: &Workspace,
    node: &str,
    bytes: &[u8],
) -> anyhow::Result<Result<String, Unanswered>> {
    let unknown = || Unanswered::Unknown(output::clean(node));
    let Ok(name) = node.parse::<NodeName>() else { return Ok(Err(unknown())) };
    let Some(key) = workspace.nodes()?.get(&name).copied() else { return Ok(Err(unknown())) };
    let bad = |why: String| Ok(Err(Unanswered::Bad(why)));
    if bytes.len() > TIME_MAX {
        return bad(format!("it has {} bytes", bytes.len()));
    }
    let text = match detached::open(bytes, &key) {
        Ok(text) => text,
        Err(why) => return bad(why.to_string()),
    };
    match serde_json::from_str::<Question>(text.payload()) {
        Ok(Question { nonce }) if nonce.len() == 2 * NONCE_BYTES => Ok(Ok(nonce)),
        Ok(_) => bad("its nonce has another length".to_owned()),
        Err(why) => bad(why.to_string()),
    }
}

#[cfg(test)]
mod tests;
