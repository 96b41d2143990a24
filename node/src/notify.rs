//! Tells a service manager how the node is: that it is ready, that it ends, that it still works.
//!
//! systemd's protocol: lines to the datagram socket in `NOTIFY_SOCKET`. Without one nothing is told,
//! and without `WATCHDOG_USEC` there is no timer. It must never say "alive" by itself: the ledger and
//! the reconciler have to answer first. The wiring is in [`crate::node`].

use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::ledger::Desk;
use crate::wake::Event;

/// The way to the service manager; it may lead nowhere.
pub struct Notify {
    way: Option<(UnixDatagram, SocketAddr)>,
    /// How long the manager waits for a sign of life.
    patience: Option<Duration>,
}

impl Notify {
    /// What the environment of this process says.
    pub fn from_environment() -> Self {
        let patience = match std::env::var("WATCHDOG_PID") {
            Ok(pid) if pid != std::process::id().to_string() => None,
            _ => std::env::var("WATCHDOG_USEC").ok(),
        };
        Self::new(std::env::var_os("NOTIFY_SOCKET"), patience.as_deref())
    }

    fn new(socket: Option<OsString>, microseconds: Option<&str>) -> Self {
        let way = socket.and_then(|name| {
            let opened = address(&name).and_then(|to| Ok((UnixDatagram::unbound()?, to)));
            let untold = |error| tracing::warn!(?name, %error, "cannot reach the service manager");
            opened.map_err(untold).ok()
        });
        let microseconds = microseconds.and_then(|text| text.parse().ok()).filter(|n| *n > 0);
        let patience = microseconds.filter(|_| way.is_some()).map(Duration::from_micros);
        Self { way, patience }
    }

    /// Agents are looked after and the local API answers.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The configuration is being read again; [`Notify::ready`] follows.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// The node ends in order.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Gives signs of life for as long as those who do the work answer; returns at once when nobody
    /// waits for any.
    pub async fn watchdog(&self, desk: Desk, reconciler: mpsc::Sender<Event>) {
        let Some(patience) = self.patience else { return };
        let mut due = tokio::time::interval(patience / 2);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            let (answer, answered) = oneshot::channel();
            let asked = desk.pulse().await.is_ok()
                && reconciler.send(Event::Pulse(answer)).await.is_ok()
                && answered.await.is_ok();
            if !asked {
                tracing::error!(
                    "a task of the node has ended; the service manager will restart it"
                );
                return;
            }
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, word: &str) {
        if let Some((socket, to)) = &self.way
            && let Err(error) = socket.send_to_addr(word.as_bytes(), to)
        {
            tracing::warn!(word, %error, "the service manager does not listen");
        }
    }
}

/// A path, or a name that begins with `@` and is in no folder.
fn address(name: &OsStr) -> std::io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests;
