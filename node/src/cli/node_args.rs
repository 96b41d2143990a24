//! What can be told to `skerry node` on its command line; it overrides environment and files.

use std::path::PathBuf;

use clap::Args;
use skerry_core::ids::{NodeName, TenantName};

/// Runs the node until it gets SIGTERM; agents go on running after it
#[derive(Debug, Clone, Default, Args)]
pub struct NodeArgs {
    /// Its settings; /etc/skerry/skerry.toml by default
    #[arg(long, value_name = "FILE", env = "SKERRY_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// The node's name; the machine's by default
    #[arg(long, value_name = "NAME")]
    pub name: Option<NodeName>,
    /// The tenant it belongs to
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<TenantName>,
    /// The fleet's broker, such as mqtts://broker.example:8883
    #[arg(long, value_name = "URL")]
    pub broker: Option<String>,
    /// Where records of running agents are kept; /run/skerry by default
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// What is logged: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "SKERRY_LOG", hide_env_values = true)]
    pub log: Option<String>,
    /// The folder of the state, if it is given.
    #[arg(skip)]
    pub state_dir: Option<PathBuf>,
}

impl NodeArgs {
    /// With the options that all verbs share.
    pub fn at(self, state_dir: Option<PathBuf>) -> Self {
        Self { state_dir, ..self }
    }
}
