//! Skerry runtime: runs one agent as a container, and knows nothing of documents.
//!
//! The node writes a [`Launch`] and calls [`spawn()`], which starts a *monitor*: a small process of
//! the same binary that owns one container, keeps its logs, waits for it and records how it ended.
//! Monitors outlive the node, so whatever the node wants to know it reads with [`observe()`] from the
//! run folder, judged by a held lock, the boot and start times, never by bare process ids.
//!
//! It must never touch the network, a database or an async runtime. Start reading at [`launch`],
//! then `monitor.rs`, which tells the story of one container from its first to its last moment.

pub mod cgroup;
pub mod contain;
pub mod control;
pub mod exec;
pub mod launch;
pub mod monitor;
pub mod needs;
pub mod observe;
pub mod oci;
pub mod record;
pub mod spawn;

mod descriptors;
mod devices;
mod failure;
pub mod pod;
mod privileges;
mod process;
mod program;
pub mod quota;
mod reaper;
mod rootfs;
mod seal;
mod seccomp;
mod spec;
mod sys;
mod userns;
mod users;
mod volumes;

pub use cgroup::{Kernel, Stats};
pub use contain::{Contained, contain};
pub use control::{clean, kill_all, set_limits, signal, stats, stop};
pub use descriptors::raise_descriptor_limit;
pub use exec::{Ended, Exec, exec};
pub use launch::{
    Device, IoDevice, IoWeight, Launch, Limits, LogPolicy, Mount, Namespace, Network, Propagation,
    Rlimit, Seccomp, Stop, User, UserNamespace,
};
pub use observe::{Observation, observe};
pub use record::{Exit, Failure, Shortfall, State};
pub use seal::seal;
pub use spawn::{MonitorHandle, spawn};
pub use sys::forget_code;
pub use users::{UserError, resolve_user};
