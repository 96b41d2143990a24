//! Looks whether a running container still is in its control group, and puts it back where that can
//! be done without a restart.
//!
//! Somebody on the host may move processes or remove folders. A group that is there takes its
//! processes back; one that is gone is made again with its limits, unless it also held the rules for
//! devices: those cannot be laid upon what runs with certainty. Whether to end the agent then is the
//! caller's decision.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cgroup::{Controller, Group, Kernel};
use crate::control::ControlError;
use crate::launch::Launch;
use crate::observe::init_lives;
use crate::record::{self, State};

/// Where a running container's processes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contained {
    /// In their control group, or the container does not run.
    Whole,
    /// They were elsewhere, and are back, under the same limits.
    PutBack(PathBuf),
    /// They are elsewhere, and cannot be put back as they were.
    Loose(PathBuf),
}

/// Looks at one run folder.
///
/// # Errors
/// The records cannot be read, or the kernel refuses to take the processes back.
pub fn contain(run_dir: &Path) -> Result<Contained, ControlError> {
    let state: Option<State> = record::read(run_dir, record::STATE)?;
    let Some(state) = state.filter(|state| state.started && init_lives(state)) else {
        return Ok(Contained::Whole);
    };
    let out = state.cgroups.iter().filter(|folder| !holds(folder, state.init.pid));
    let out: Vec<_> = out.cloned().collect();
    // One that ended meanwhile is in no group, and nothing is wrong with that.
    let Some(first) = out.first().cloned().filter(|_| init_lives(&state)) else {
        return Ok(Contained::Whole);
    };
    let launch: Option<Launch> = record::read(run_dir, record::LAUNCH)?;
    let Some(launch) = launch else { return Ok(Contained::Loose(first)) };
    let kernel = Kernel::probe()?;
    let group = Group::at(&kernel, &launch.cgroup);
    let gone: Vec<_> = out.iter().filter(|folder| !folder.is_dir()).collect();
    let devices = group.folder_of(Controller::Devices);
    if gone.iter().any(|folder| kernel.is_unified() || devices == Some(folder.as_path())) {
        return Ok(Contained::Loose(first));
    }
    for folder in gone {
        fs::create_dir_all(folder).map_err(refused(run_dir, "make the control group"))?;
    }
    let pids = processes_of(state.init.pid);
    for folder in &out {
        for pid in &pids {
            match fs::write(folder.join("cgroup.procs"), pid.to_string()) {
                // One that has ended need not be moved.
                Err(error) if error.raw_os_error() != Some(nix::libc::ESRCH) => {
                    return Err(refused(run_dir, "move the processes")(error));
                }
                _ => {}
            }
        }
    }
    group.limit(&launch.limits)?;
    Ok(Contained::PutBack(first))
}

fn refused(
    run_dir: &Path,
    operation: &'static str,
) -> impl FnOnce(io::Error) -> ControlError + use<> {
    let run_dir = run_dir.to_owned();
    move |source| ControlError::System { operation, what: "the agent", run_dir, source }
}

fn holds(folder: &Path, pid: i32) -> bool {
    let procs = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    // An agent with a control group namespace may have made groups below, and moved into one.
    procs.lines().any(|line| line.parse() == Ok(pid)) || is_below(folder, pid)
}

fn is_below(folder: &Path, pid: i32) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.any(|entry| holds(&entry.path(), pid))
}

/// Every process in the process namespace of a container's first.
fn processes_of(init: i32) -> Vec<i32> {
    let space = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(ours) = space(init) else { return Vec::new() };
    if space(nix::unistd::getpid().as_raw()).as_ref() == Some(&ours) {
        // It shares the host's: nobody can tell its processes from others.
        return vec![init];
    }
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| space(*pid).as_ref() == Some(&ours)).collect()
}
