//! Reads the configuration again, on SIGHUP: what can change in a running node does, the rest is told.
//!
//! A configuration that cannot be used changes nothing: the old one stays in force, and `skerry
//! status` says so. A service manager hears of the begin and of the end ([`crate::notify`]). It must
//! never end the node.

use std::path::PathBuf;
use std::sync::Arc;

use skerry_core::admit::Profile;
use skerry_core::units::Memory;
use toml::{Table, Value};

use crate::config::{Config, Override};
use crate::containers::Containers;
use crate::ledger::Desk;
use crate::levels::Levels;
use crate::notify::Notify;
use crate::troubles::{Kind, Troubles};

/// The keys that take effect in a running node.
const LIVE: [&str; 7] = ["budget", "labels", "local", "log", "log_level", "policy", "tiers"];

/// Where the configuration comes from.
pub struct Origin {
    /// The file, if one was named.
    pub file: Option<PathBuf>,
    /// What the command line laid over it.
    pub flags: Vec<Override>,
}

/// Whom a change concerns.
pub struct Hands {
    /// Who admits agents.
    pub desk: Desk,
    /// Who gives logs their size.
    pub containers: Arc<Containers>,
    /// The node's own log.
    pub levels: Levels,
    /// The service manager.
    pub notify: Arc<Notify>,
    /// The list of what is wrong.
    pub troubles: Troubles,
}

/// Reads the configuration again whenever it is told to.
pub struct Reload {
    origin: Origin,
    /// What the node was started with.
    begun: Table,
    hands: Hands,
}

impl Reload {
    /// Ready to read again what `config` was read from.
    pub fn new(origin: Origin, config: &Config, hands: Hands) -> Self {
        Self { origin, begun: config.table.clone(), hands }
    }

    /// Once.
    pub async fn again(&self) {
        self.hands.notify.reloading();
        match Config::load(self.origin.file.as_deref(), &self.origin.flags) {
            Ok(config) => self.take(&config).await,
            Err(error) => {
                let what = format!(
                    "the configuration that was read again cannot be used, and the one before stays \
                     in force: {error}"
                );
                let next = "correct it, and reload: systemctl reload skerry, or SIGHUP";
                self.hands.troubles.raise(Kind::Config, "", &what, next);
            }
        }
        self.hands.notify.ready();
    }

    async fn take(&self, config: &Config) {
        let Hands { desk, containers, levels, troubles, .. } = &self.hands;
        containers.set_log(config.log.clone());
        levels.set(config.log_level.as_deref());
        if let Err(error) = desk.settle(profile(config), config.local.wishes).await {
            tracing::error!(%error, "what agents may take cannot be changed");
        }
        let waiting = differing(&self.begun, &config.table);
        let waiting: Vec<_> = waiting.into_iter().filter(|key| !LIVE.contains(key)).collect();
        if waiting.is_empty() {
            troubles.clear(Kind::Config, "");
            tracing::info!("the configuration was read again, and is in force");
            return;
        }
        let what = format!(
            "the configuration was read again; changes of {} wait for a restart of the node",
            waiting.join(", ")
        );
        troubles.raise(Kind::Config, "", &what, "restart the node's process; agents run on");
    }
}

/// What this machine gives to agents.
pub fn profile(config: &Config) -> Profile {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    config.profile(Memory(system.total_memory()), u32::try_from(cpus).unwrap_or(u32::MAX))
}

/// The outermost keys whose values differ.
fn differing<'a>(one: &'a Table, other: &'a Table) -> Vec<&'a str> {
    let mut keys: Vec<_> = one.keys().chain(other.keys()).map(String::as_str).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| given(one, key) != given(other, key));
    keys
}

/// The value of a key; an empty list or table says no more than none.
fn given<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    table.get(key).filter(|value| match value {
        Value::Array(list) => !list.is_empty(),
        Value::Table(table) => !table.is_empty(),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_are_named_once() {
        let one: Table =
            "node = 'a'\ngroups = []\n[broker]\nurl = 'x'\n[log]\nfiles = 3".parse().unwrap();
        let other: Table =
            "node = 'a'\n[broker]\nurl = 'y'\n[local]\nwishes = true".parse().unwrap();
        assert_eq!(differing(&one, &other), ["broker", "local", "log"]);
        assert!(differing(&one, &one).is_empty());
    }
}
