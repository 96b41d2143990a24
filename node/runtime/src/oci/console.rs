//! Terminals and output of programs: a socket of our own to receive a terminal on, one of the
//! caller's to send it to, and the last words of a hook.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout};

use rustix::event::{PollFd, PollFlags};

use super::{Result, create, system};
use crate::exec::terminal::Terminal;

/// A socket in a folder of its own, for libcontainer to send a terminal to.
pub struct Listener {
    socket: UnixListener,
    folder: PathBuf,
    path: PathBuf,
}

impl Listener {
    pub fn new(root: &Path) -> Result<Self> {
        let folder = root.join(format!(".console-{}", std::process::id()));
        let failed = || format!("cannot make a console socket in {}", folder.display());
        std::fs::create_dir_all(&folder).map_err(system(failed()))?;
        let path = folder.join("console.sock");
        // An address is short; a path of the caller's may be long.
        let short = rustix::fs::open(
            &folder,
            rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        );
        let short = short.map_err(system(failed()))?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&short);
        let address = format!("/proc/self/fd/{number}/console.sock");
        let socket = UnixListener::bind(address).map_err(system(failed()))?;
        Ok(Self { socket, folder, path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the terminal that was sent.
    pub fn accept(self) -> Option<Terminal> {
        let (stream, _) = self.socket.accept().ok()?;
        Terminal::receive(&OwnedFd::from(stream))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Nothing else is in it, and it is in nobody's way.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The caller's socket, to which a terminal is sent.
pub fn connect(path: &Path) -> Result<OwnedFd> {
    let failed = format!("cannot connect to console socket {}", path.display());
    let stream: UnixStream = create::sys_connect(path).map_err(system(failed))?;
    Ok(stream.into())
}

/// The end of what a program says on two pipes.
pub struct Tail {
    pipes: Vec<OwnedFd>,
    said: Vec<u8>,
}

/// What is kept of it.
const KEPT: usize = 4096;

impl Tail {
    pub fn new(out: Option<ChildStdout>, err: Option<ChildStderr>) -> Self {
        let pipes = [out.map(OwnedFd::from), err.map(OwnedFd::from)];
        let pipes: Vec<OwnedFd> = pipes.into_iter().flatten().collect();
        for pipe in &pipes {
            // One that blocks would only be slow.
            let _ = rustix::io::ioctl_fionbio(pipe, true);
        }
        Self { pipes, said: Vec::new() }
    }

    pub fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.pipes.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN))
    }

    /// Takes what is there.
    pub fn take(&mut self) {
        let said = &mut self.said;
        self.pipes.retain(|pipe| take_from(pipe.as_fd(), said));
        if said.len() > KEPT {
            said.drain(..said.len() - KEPT);
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.said).trim_end().to_owned()
    }
}

/// Whether more may come.
fn take_from(pipe: BorrowedFd<'_>, said: &mut Vec<u8>) -> bool {
    let mut buffer = [0_u8; KEPT];
    loop {
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => return false,
            Ok(size) => said.extend(buffer.get(..size).unwrap_or_default()),
            Err(rustix::io::Errno::AGAIN) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
