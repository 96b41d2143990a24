//! Probes: one look at an agent, within a time. One file for each kind below `probe/`.
//!
//! Network probes go through a socket that was made inside the agent's network namespace; a command
//! runs in the agent's container; a file is looked at inside the agent's file system. What a row of
//! results means is decided in `skerry_core::health`.

mod command;
mod file;
mod http;
mod inside;
mod tls;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use skerry_core::agent::HealthCheck;
use skerry_core::health::Check;
use skerry_core::ids::AgentName;
use tokio::sync::Semaphore;

use file::Ages;

/// So many processes that enter containers at once, so that hundreds of agents do not thrash a small
/// machine. Who waits for a turn has not begun, and is not late.
const COMMANDS: usize = 8;
/// So many connections at once; each is a descriptor.
const CONNECTIONS: usize = 64;
/// So many threads that make sockets at once, and as many that look at files.
const THREADS: usize = 8;
/// How much longer than its command the process that enters a container may take.
const MARGIN: Duration = Duration::from_secs(2);

/// Whom a probe is about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its name.
    pub agent: AgentName,
    /// Which of its checks.
    pub check: Check,
    /// Its records.
    pub run_dir: PathBuf,
    /// Its first process.
    pub pid: i32,
}

/// Probes agents. Clones share one bound and one memory.
#[derive(Debug, Clone)]
pub struct Prober {
    commands: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
    files: Arc<Semaphore>,
    ages: Ages,
}

impl Prober {
    /// One with nothing under way.
    pub fn new() -> Self {
        Self {
            commands: Arc::new(Semaphore::new(COMMANDS)),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            sockets: Arc::new(Semaphore::new(THREADS)),
            files: Arc::new(Semaphore::new(THREADS)),
            ages: Ages::default(),
        }
    }

    /// Probes once.
    ///
    /// # Errors
    /// Why the agent fails the check, in plain words.
    pub async fn probe(&self, how: &HealthCheck, subject: &Subject) -> Result<(), String> {
        let limit = Duration::from_millis(how.timeout.millis);
        let (sockets, pid) = (&self.sockets, subject.pid);
        if let Some(tcp) = &how.tcp {
            let _turn = turn(&self.connections).await?;
            let dial = async { inside::connect(sockets, pid, tcp.port).await.map(drop) };
            return within("tcp", limit, dial).await;
        }
        if let Some(http) = &how.http {
            let _turn = turn(&self.connections).await?;
            return within("http", limit, http::ask(http, sockets, pid)).await;
        }
        if let Some(file) = &how.file {
            let look = file::look(file, subject, &self.files, &self.ages);
            return within("file", limit, look).await;
        }
        match &how.command {
            Some(words) => self.command(words, &subject.run_dir, limit).await,
            None => Ok(()),
        }
    }

    async fn command(
        &self,
        words: &[String],
        run_dir: &Path,
        limit: Duration,
    ) -> Result<(), String> {
        let _turn = turn(&self.commands).await?;
        // The process that enters the container ends its command in time, and says so; this limit is
        // for that process itself.
        within("command", limit.saturating_add(MARGIN), command::run(words, run_dir, limit)).await
    }
}

async fn turn(of: &Semaphore) -> Result<tokio::sync::SemaphorePermit<'_>, String> {
    // It is never closed.
    of.acquire().await.map_err(|error| error.to_string())
}

async fn within(
    what: &str,
    limit: Duration,
    probe: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    match tokio::time::timeout(limit, probe).await {
        Ok(answer) => answer.map_err(|why| format!("{what} probe: {why}")),
        Err(_) => Err(format!("{what} probe: no answer within {} ms", limit.as_millis())),
    }
}
