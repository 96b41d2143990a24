//! What containers need of this kernel, found out by doing it: for `skerry check`.
//!
//! A child takes the way of a container, from its namespaces to its system call filter, in a mount
//! namespace of its own, says of each step how it went, and ends. Nothing of it outlives the child,
//! and nothing of the host is changed. It judges nothing: what a refusal means is told by
//! `skerry`'s `check/judge.rs`. The caller must have one thread.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    fsconfig_create, fsmount, fsopen, mount, mount_change, move_mount,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open,
    set_parent_process_death_signal, waitpid,
};
use rustix::thread::UnshareFlags;

use crate::launch::Seccomp;
use crate::seccomp::{Filter, SeccompError};
use crate::sys::{self, Forked};

/// One thing that containers need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Making processes by `clone3`, into a control group on version 2.
    Clone3,
    /// Handles on processes.
    Pidfd,
    /// Opening files without leaving a folder; an import can do with less.
    Openat2,
    /// Waiting for many descriptors at once.
    Epoll,
    /// Waking a thread that waits.
    Eventfd,
    /// Signals as something that can be read.
    Signalfd,
    /// Being told of changes to files.
    Inotify,
    /// Sockets within the machine.
    UnixSockets,
    /// A host name of its own.
    NamespaceUts,
    /// Message queues and shared memory of its own.
    NamespaceIpc,
    /// A network of its own.
    NamespaceNet,
    /// A view of control groups of its own.
    NamespaceCgroup,
    /// Process numbers of its own.
    NamespacePid,
    /// Mounts of its own.
    NamespaceMount,
    /// The loopback interface of its network.
    Loopback,
    /// Memory as a file system.
    Tmpfs,
    /// The system calls that libcontainer mounts with.
    MountCalls,
    /// `/proc` for an agent.
    Proc,
    /// `/sys` for an agent.
    Sysfs,
    /// Pseudo-terminals for an agent.
    Devpts,
    /// POSIX message queues for an agent.
    Mqueue,
    /// Image layers under one root, with the state folder's file system below.
    Overlay,
    /// Leaving the host's root for the agent's.
    PivotRoot,
    /// A filter for system calls.
    Seccomp,
}

impl Need {
    /// Every need, in the order in which they are tried.
    pub const ALL: [Self; 24] = [
        Self::Clone3,
        Self::Pidfd,
        Self::Openat2,
        Self::Epoll,
        Self::Eventfd,
        Self::Signalfd,
        Self::Inotify,
        Self::UnixSockets,
        Self::NamespaceUts,
        Self::NamespaceIpc,
        Self::NamespaceNet,
        Self::NamespaceCgroup,
        Self::NamespacePid,
        Self::NamespaceMount,
        Self::Loopback,
        Self::Tmpfs,
        Self::MountCalls,
        Self::Proc,
        Self::Sysfs,
        Self::Devpts,
        Self::Mqueue,
        Self::Overlay,
        Self::PivotRoot,
        Self::Seccomp,
    ];
}

/// How trying it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// It works.
    Works,
    /// The kernel refused, with this error number.
    Refused(i32),
    /// This program has no system call filter for this processor.
    NoFilter,
    /// What it builds on failed, so that it was not tried.
    Not,
}

/// What was found out, by need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial(Vec<(Need, Tried)>);

impl Trial {
    /// Of results that are known already; for tests.
    pub fn of(results: impl IntoIterator<Item = (Need, Tried)>) -> Self {
        Self(results.into_iter().collect())
    }

    /// How trying one need went.
    pub fn of_need(&self, need: Need) -> Tried {
        self.0.iter().find(|(tried, _)| *tried == need).map_or(Tried::Not, |(_, how)| *how)
    }

    fn note(&mut self, need: Need, how: io::Result<()>) {
        self.0.push((need, tried(&how)));
    }
}

/// How long the child may take; a mount can hang.
const PATIENCE: Duration = Duration::from_secs(10);
/// What stands for [`Tried::NoFilter`] in the child's words; no error number is so large.
const NO_FILTER: i32 = i32::MAX;
/// One word of the child: the need's place in [`Need::ALL`], and 0 or an error number.
const WORD: usize = 5;

/// Tries everything. `lower` is a folder on the file system that image layers are on.
pub fn try_needs(lower: &Path) -> Trial {
    let mut trial = Trial(Vec::new());
    try_calls(&mut trial);
    let how = try_in_child(&mut trial, lower);
    trial.0.insert(0, (Need::Clone3, tried(&how)));
    trial
}

fn tried(how: &io::Result<()>) -> Tried {
    match how {
        Ok(()) => Tried::Works,
        Err(error) => Tried::Refused(error.raw_os_error().unwrap_or_default()),
    }
}

/// Calls that need no privilege and leave nothing behind.
fn try_calls(trial: &mut Trial) {
    use rustix::event::{EventfdFlags, epoll, eventfd};
    use rustix::fs::inotify;
    let myself = pidfd_open(rustix::process::getpid(), PidfdFlags::empty());
    trial.note(Need::Pidfd, myself.map(drop).map_err(Into::into));
    let (flags, inside) = (OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::IN_ROOT);
    let opened = rustix::fs::openat2(CWD, "/", flags, Mode::empty(), inside);
    trial.note(Need::Openat2, opened.map(drop).map_err(Into::into));
    let made = epoll::create(epoll::CreateFlags::CLOEXEC);
    trial.note(Need::Epoll, made.map(drop).map_err(Into::into));
    trial.note(Need::Eventfd, eventfd(0, EventfdFlags::CLOEXEC).map(drop).map_err(Into::into));
    let signals = nix::sys::signalfd::SignalFd::new(&nix::sys::signal::SigSet::empty());
    trial.note(Need::Signalfd, signals.map(drop).map_err(Into::into));
    let made = inotify::init(inotify::CreateFlags::CLOEXEC);
    trial.note(Need::Inotify, made.map(drop).map_err(Into::into));
    trial.note(Need::UnixSockets, std::os::unix::net::UnixStream::pair().map(drop));
}

/// `Err` when no child could be made; what the child says goes into `trial`.
fn try_in_child(trial: &mut Trial, lower: &Path) -> io::Result<()> {
    let (heard, said) = pipe_with(PipeFlags::CLOEXEC)?;
    match sys::fork(None)? {
        Forked::Child => {
            drop(heard);
            // A caller that goes away in the middle takes this with it.
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            take_the_way(&mut Teller(said), lower);
            sys::exit_now(0)
        }
        Forked::Parent(child) => {
            drop(said);
            let words = listen(&heard);
            if let Some(pid) = Pid::from_raw(child) {
                let _ = kill_process(pid, Signal::KILL);
                let _ = waitpid(Some(pid), WaitOptions::empty());
            }
            for word in words.chunks_exact(WORD) {
                let [place, number @ ..] = word else { continue };
                let number = <[u8; 4]>::try_from(number).map_or(0, i32::from_le_bytes);
                let how = match number {
                    0 => Tried::Works,
                    NO_FILTER => Tried::NoFilter,
                    errno => Tried::Refused(errno),
                };
                trial.0.extend(Need::ALL.get(usize::from(*place)).map(|need| (*need, how)));
            }
            Ok(())
        }
    }
}

/// Everything the child says until it ends or its time is over.
fn listen(pipe: &OwnedFd) -> Vec<u8> {
    let (deadline, mut words) = (Instant::now() + PATIENCE, Vec::new());
    let mut buffer = [0_u8; 256];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(left) = Timespec::try_from(left) else { return words };
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(ready) if ready > 0 => {}
            _ => return words,
        }
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) | Err(_) => return words,
            Ok(size) => words.extend_from_slice(buffer.get(..size).unwrap_or_default()),
        }
    }
}

/// The child's end of the pipe.
struct Teller(OwnedFd);

impl Teller {
    /// Tells how a step went, and whether it went well.
    fn tell(&mut self, need: Need, how: io::Result<()>) -> bool {
        let number = match &how {
            Ok(()) => 0,
            // An error without a number must not look like none.
            Err(error) => error.raw_os_error().filter(|number| *number != 0).unwrap_or(-1),
        };
        self.say(need, number);
        how.is_ok()
    }

    fn say(&mut self, need: Need, number: i32) {
        let place = Need::ALL.iter().position(|known| *known == need).unwrap_or_default();
        let mut word = [u8::try_from(place).unwrap_or(u8::MAX); WORD];
        for (to, from) in word.iter_mut().skip(1).zip(number.to_le_bytes()) {
            *to = from;
        }
        // Without a listener there is nobody to tell.
        let _ = rustix::io::write(&self.0, &word);
    }
}

/// The way of a container. Steps that would reach the host without the ones before are not taken.
fn take_the_way(teller: &mut Teller, lower: &Path) {
    for (need, flag) in [
        (Need::NamespaceUts, UnshareFlags::NEWUTS),
        (Need::NamespaceIpc, UnshareFlags::NEWIPC),
        (Need::NamespaceCgroup, UnshareFlags::NEWCGROUP),
        (Need::NamespacePid, UnshareFlags::NEWPID),
    ] {
        teller.tell(need, sys::unshare(flag));
    }
    if teller.tell(Need::NamespaceNet, sys::unshare(UnshareFlags::NEWNET)) {
        teller.tell(Need::Loopback, sys::raise_loopback());
    }
    let alone = sys::unshare_mounts().and_then(|()| {
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        Ok(mount_change("/", slave)?)
    });
    if teller.tell(Need::NamespaceMount, alone) {
        try_mounts(teller, lower);
    }
    match Filter::new(&Seccomp::Default, &[]) {
        Err(_) => teller.say(Need::Seccomp, NO_FILTER),
        Ok(filter) => {
            let applied = filter.apply().map_err(|error| match error {
                SeccompError::Apply(source) => source,
                other => io::Error::other(other.to_string()),
            });
            teller.tell(Need::Seccomp, applied);
        }
    }
}

/// In a mount namespace of its own only.
fn try_mounts(teller: &mut Teller, lower: &Path) {
    for (need, kind) in [
        (Need::Proc, "proc"),
        (Need::Sysfs, "sysfs"),
        (Need::Devpts, "devpts"),
        (Need::Mqueue, "mqueue"),
    ] {
        teller.tell(need, detached(kind).map(drop));
    }
    // What is there anyway, and is covered for a container too.
    let places = ["/sys/fs/cgroup", "/sys", "/mnt", "/tmp"].map(Path::new);
    let Some(place) = places.into_iter().find(|place| place.is_dir()) else { return };
    let covered = mount("tmpfs", place, "tmpfs", MountFlags::NODEV, None);
    if !teller.tell(Need::Tmpfs, covered.map_err(Into::into)) {
        return;
    }
    let folder = |name: &str| -> io::Result<PathBuf> {
        let path = place.join(name);
        std::fs::create_dir(&path).map(|()| path)
    };
    let by_calls = folder("calls").and_then(|target| attach("tmpfs", &target));
    teller.tell(Need::MountCalls, by_calls);
    let root = folder("skeleton").and_then(|skeleton| {
        let root = folder("root")?;
        // Opened in this mount namespace: the kernel takes no layer from another.
        overlay(&File::open(lower)?, &skeleton, &root).map(|()| root)
    });
    // Leaving the root can be tried without layers as well.
    let new_root = root.as_deref().unwrap_or(place).to_owned();
    teller.tell(Need::Overlay, root.map(drop));
    let left = rustix::process::chdir(&new_root)
        .and_then(|()| rustix::process::pivot_root(".", "."))
        .map_err(io::Error::from);
    teller.tell(Need::PivotRoot, left);
}

/// As libcontainer does it: the file system is made, and mounted nowhere yet.
fn detached(kind: &str) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let (flags, attributes) = (FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty());
    Ok(fsmount(&context, flags, attributes)?)
}

fn attach(kind: &str, target: &Path) -> io::Result<()> {
    let made = detached(kind)?;
    sys::change_mount(made.as_fd(), sys::MountChange::default())?;
    Ok(move_mount(&made, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

fn overlay(lower: &File, skeleton: &Path, target: &Path) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let lower = lower.as_raw_fd();
    let options = format!("lowerdir=/proc/self/fd/{lower}:{}", skeleton.display());
    let options = std::ffi::CString::new(options)?;
    Ok(mount("overlay", target, "overlay", MountFlags::NODEV, Some(options.as_c_str()))?)
}

#[cfg(test)]
mod tests;
