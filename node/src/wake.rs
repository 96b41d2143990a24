//! What wakes the reconciler: records that appear in run folders, monitors that end, images that
//! arrive.
//!
//! inotify and pidfds, nothing that polls. It tells that something happened, never what: the
//! reconciler looks for itself.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use skerry_core::health::Check;
use skerry_core::ids::AgentName;
use skerry_runtime::MonitorHandle;
use skerry_runtime::cgroup::Group;
use skerry_runtime::record::ProcessId;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use crate::readable;

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// To an agent.
    Agent(AgentName),
    /// In the image store.
    Images,
    /// Somebody wants to know how agents are; he is told when they were looked at.
    Inspect(oneshot::Sender<()>),
    /// Somebody wants to know whether the reconciler still works; it answers.
    Pulse(oneshot::Sender<()>),
    /// A probe came back.
    Probed {
        /// Of which agent.
        agent: AgentName,
        /// Which of its checks.
        check: Check,
        /// A success, or why not.
        result: Result<(), String>,
    },
    /// Something that stood in the way of agents may be gone, such as a missing secret.
    Hasten,
    /// Everything is to be stopped; who asked is told when it is.
    Down(oneshot::Sender<()>),
    /// What must be runs again.
    Up,
}

/// Watches run folders and the image store.
pub struct Watcher {
    fd: AsyncFd<OwnedFd>,
    names: HashMap<i32, AgentName>,
    images: i32,
    /// Folders whose folders are named as agents, in which others may remove what is ours.
    removals: Vec<i32>,
}

impl Watcher {
    /// Begins to watch the records of images; and the folder of run folders and the control groups of
    /// agents, for what is removed there by others.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn new(images: &Path, agents: &Path, cgroup: &Path) -> std::io::Result<Self> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let fd = inotify::init(flags)?;
        let changes = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::DELETE;
        std::fs::create_dir_all(images)?;
        let images = inotify::add_watch(&fd, images, changes)?;
        let gone = inotify::WatchFlags::MOVED_FROM | inotify::WatchFlags::DELETE;
        let mut removals = vec![inotify::add_watch(&fd, agents, gone)?];
        let groups = skerry_runtime::Kernel::probe().map(|kernel| Group::at(&kernel, cgroup));
        for folder in groups.iter().flat_map(Group::paths) {
            // Where it cannot be watched, what is removed is found at the next look.
            let made = std::fs::create_dir_all(&folder);
            removals.extend(made.ok().and_then(|()| inotify::add_watch(&fd, &folder, gone).ok()));
        }
        Ok(Self { fd: readable::watch(fd)?, names: HashMap::new(), images, removals })
    }

    /// Begins to watch an agent's run folder. The watch ends with the folder.
    ///
    /// # Errors
    /// The folder is gone, or there are too many watches.
    pub fn add(&mut self, name: &AgentName, run_dir: &Path) -> std::io::Result<()> {
        // Records are moved into place; the monitor's lock is closed for writing when it ends.
        let changes = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CLOSE_WRITE;
        let wd = inotify::add_watch(self.fd.get_ref(), run_dir, changes)?;
        self.names.insert(wd, name.clone());
        Ok(())
    }

    /// Waits until something happens, and tells it all.
    ///
    /// # Errors
    /// The kernel refuses to be read.
    pub async fn next(&mut self) -> std::io::Result<Vec<Event>> {
        loop {
            let mut guard = self.fd.readable().await?;
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = inotify::Reader::new(guard.get_inner(), &mut buffer);
            let mut events = Vec::new();
            loop {
                match reader.next() {
                    Ok(event) if event.wd() == self.images => events.push(Event::Images),
                    Ok(event) if self.removals.contains(&event.wd()) => {
                        let name = event.file_name().and_then(|name| name.to_str().ok());
                        let name = name.and_then(|name| name.parse().ok());
                        events.extend(name.map(Event::Agent));
                    }
                    Ok(event) if event.events().contains(inotify::ReadFlags::IGNORED) => {
                        self.names.remove(&event.wd());
                    }
                    Ok(event) => {
                        let name = self.names.get(&event.wd());
                        events.extend(name.cloned().map(Event::Agent));
                    }
                    Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => break,
                    Err(errno) => return Err(errno.into()),
                }
                if reader.is_buffer_empty() && events.len() > 256 {
                    break;
                }
            }
            guard.clear_ready();
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }
}

/// Tells when the wall clock is set, by way of a timer that never comes but is cancelled then
/// (timerfd_create(2), `TFD_TIMER_CANCEL_ON_SET`).
pub struct ClockWatch(AsyncFd<OwnedFd>);

impl ClockWatch {
    /// Begins to watch the clock.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn new() -> std::io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let fd = timerfd_create(TimerfdClockId::Realtime, flags)?;
        let watch = Self(readable::watch(fd)?);
        watch.arm()?;
        Ok(watch)
    }

    fn arm(&self) -> std::io::Result<()> {
        let never = Timespec { tv_sec: i64::from(u32::MAX) * 4, tv_nsec: 0 };
        let no_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let timer = Itimerspec { it_interval: no_interval, it_value: never };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        match timerfd_settime(self.0.get_ref(), flags, &timer) {
            // Set between two calls: the next read says so.
            Ok(_) | Err(rustix::io::Errno::CANCELED) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits until the clock was set.
    pub async fn jumped(&self) {
        loop {
            let Ok(mut guard) = self.0.readable().await else {
                return std::future::pending().await;
            };
            let mut count = [0; 8];
            let read = rustix::io::read(self.0.get_ref(), &mut count);
            guard.clear_ready();
            if read == Err(rustix::io::Errno::CANCELED) {
                let _ = self.arm();
                return;
            }
        }
    }
}

/// Tells when a monitor that this process started has ended, and collects it.
pub fn watch_child(agent: AgentName, handle: MonitorHandle, events: mpsc::Sender<Event>) {
    tokio::spawn(async move {
        let mut handle = handle;
        if let Ok(fd) = handle.pidfd.try_clone()
            && let Ok(fd) = readable::watch(fd)
        {
            let _ = fd.readable().await;
        }
        if let Err(error) = handle.collect() {
            tracing::warn!(%agent, %error, "cannot collect the monitor");
        }
        let _ = events.send(Event::Agent(agent)).await;
    });
}

/// Tells when a monitor that an earlier node process started has ended. One that has ended already
/// is told at once.
pub fn watch_adopted(agent: AgentName, monitor: ProcessId, events: mpsc::Sender<Event>) {
    let fd = Pid::from_raw(monitor.pid)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        .and_then(|fd| readable::watch(fd).ok());
    tokio::spawn(async move {
        if let Some(fd) = fd {
            let _ = fd.readable().await;
        }
        let _ = events.send(Event::Agent(agent)).await;
    });
}
