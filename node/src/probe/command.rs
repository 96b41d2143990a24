//! A command in the agent's container, by way of a process of its own: entering a container is not
//! safe with threads.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

pub(super) async fn run(words: &[String], run_dir: &Path, limit: Duration) -> Result<(), String> {
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
    match status.code() {
        Some(0) => Ok(()),
        // As for timeout(1).
        Some(124) => Err(format!("'{}' had not ended in time", words.join(" "))),
        _ => Err(format!("'{}' ended with {status}", words.join(" "))),
    }
}
