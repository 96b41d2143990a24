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
use skerry_core::ids::AgentName;
use skerry_runtime::MonitorHandle;
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
    /// Somebody wants to know whether the reconciler still works; it answers.
    Pulse(oneshot::Sender<()>),
    /// A probe came back.
    Probed {
        /// Of which agent.
        agent: AgentName,
        /// Health, or why not.
        result: Result<(), String>,
    },
}

/// Watches run folders and the image store.
pub struct Watcher {
    fd: AsyncFd<OwnedFd>,
    names: HashMap<i32, AgentName>,
    images: i32,
}

impl Watcher {
    /// Begins to watch `images`.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn new(images: &Path) -> std::io::Result<Self> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let fd = inotify::init(flags)?;
        let changes = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::DELETE;
        std::fs::create_dir_all(images)?;
        let images = inotify::add_watch(&fd, images, changes)?;
        Ok(Self { fd: readable::watch(fd)?, names: HashMap::new(), images })
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
