//! Health probes: one connection or one command, within a time.
//!
//! A tcp probe connects from inside the agent's network namespace; a command runs in the agent's
//! container, by way of a process of its own, since entering a container is not safe with threads.
//! What a row of results means is decided in `skerry_core::health`.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use skerry_core::agent::{HealthCheck, TcpProbe};
use tokio::process::Command;

/// How much longer than its command the process that enters a container may take.
const MARGIN: Duration = Duration::from_secs(2);

/// Probes once.
///
/// # Errors
/// Why the agent is not healthy, in plain words.
pub async fn probe(check: &HealthCheck, run_dir: &Path, pid: i32) -> Result<(), String> {
    let limit = Duration::from_millis(check.timeout.millis);
    let (what, answer) = match (&check.tcp, &check.command) {
        (Some(tcp), _) => ("tcp", tokio::time::timeout(limit, connect(tcp, pid, limit)).await),
        (None, Some(words)) => {
            // The process that enters the container ends its command in time, and says so; this
            // limit is for that process itself.
            let patience = limit.saturating_add(MARGIN);
            ("command", tokio::time::timeout(patience, command(words, run_dir, limit)).await)
        }
        (None, None) => return Ok(()),
    };
    let late = |_| format!("{what} probe: no answer within {}", check.timeout);
    answer.map_err(late)?.map_err(|why| format!("{what} probe: {why}"))
}

async fn connect(tcp: &TcpProbe, pid: i32, limit: Duration) -> Result<(), String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, tcp.port));
    // A thread may enter another network namespace without the rest of the process; it ends with
    // the probe, so that it never serves anything else in there.
    let (done, answer) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("probe".into()).stack_size(128 * 1024);
    let spawned = thread.spawn(move || drop(done.send(connect_inside(address, pid, limit))));
    spawned.map_err(|error| format!("cannot begin: {error}"))?;
    answer.await.map_err(|_| "ended without an answer".to_owned())?
}

fn connect_inside(address: SocketAddr, pid: i32, limit: Duration) -> Result<(), String> {
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net"))
        .map_err(|error| format!("the agent's network is gone: {error}"))?;
    move_into_link_name_space(
        std::os::fd::AsFd::as_fd(&namespace),
        Some(LinkNameSpaceType::Network),
    )
    .map_err(|error| format!("cannot enter the agent's network: {error}"))?;
    TcpStream::connect_timeout(&address, limit)
        .map(drop)
        .map_err(|error| format!("port {}: {error}", address.port()))
}

async fn command(words: &[String], run_dir: &Path, limit: Duration) -> Result<(), String> {
    let mut child = Command::new("/proc/self/exe")
        .arg("probe-exec")
        .arg(run_dir)
        .arg(limit.as_millis().to_string())
        .args(words)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot begin: {error}"))?;
    let status = child.wait().await.map_err(|error| format!("cannot wait: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("'{}' ended with {status}", words.join(" ")))
    }
}
