//! A terminal for a program in a container: made inside, its near end sent out to the caller.
//!
//! The caller's own terminal is made raw, so that keys such as Ctrl-C reach the program, and is put
//! back however the program ends. Its size follows the caller's.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// Two ends, one for the caller and one for the child, to hand a terminal over.
pub fn handover() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// In the child, inside the container and leading a session: opens a terminal there, makes it the
/// standard streams, and sends its near end out.
pub fn take(to: &OwnedFd, uid: u32) -> io::Result<()> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let near = openpt(flags | OpenptFlags::CLOEXEC)?;
    unlockpt(&near)?;
    let far = ioctl_tiocgptpeer(&near, flags | OpenptFlags::CLOEXEC)?;
    rustix::fs::fchown(&far, Some(rustix::fs::Uid::from_raw(uid)), None)?;
    rustix::process::ioctl_tiocsctty(&far)?;
    if let Ok(size) = tcgetwinsize(stdin()) {
        tcsetwinsize(&far, size)?;
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [near.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(to, &[IoSlice::new(b"t")], &mut control, SendFlags::empty())?;
    dup2_stdin(&far)?;
    dup2_stdout(&far)?;
    Ok(dup2_stderr(&far)?)
}

/// The caller's side of a terminal.
pub struct Terminal {
    near: OwnedFd,
    resized: Option<SignalFd>,
    before: Option<Termios>,
    input_open: bool,
    near_open: bool,
}

impl Terminal {
    /// Takes what the child sent; `None` if it gave up before.
    pub fn receive(from: &OwnedFd) -> Option<Self> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0_u8];
        let mut slices = [IoSliceMut::new(&mut byte)];
        recvmsg(from, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
        let near = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })?;
        // Without a terminal on this side there is nothing to make raw, or to follow.
        let before = tcgetattr(stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(stdin(), OptionalActions::Now, &raw).ok()?;
        }
        let resized = before.as_ref().and_then(|_| watch_size());
        Some(Self { near, resized, before, input_open: true, near_open: true })
    }

    /// What to wait for, besides the program's end.
    pub fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        let read = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let input = self.input_open.then(|| read(stdin()));
        let resized = self.resized.as_ref().map(|signals| read(signals.as_fd()));
        [self.near_open.then(|| read(self.near.as_fd())), input, resized].into_iter().flatten()
    }

    /// Copies what has arrived in both directions.
    pub fn pump(&mut self) {
        if self.resized.as_ref().is_some_and(|signals| matches!(signals.read_signal(), Ok(Some(_))))
            && let Ok(size) = tcgetwinsize(stdin())
        {
            // A program that cannot be told keeps its old size.
            let _ = tcsetwinsize(&self.near, size);
        }
        if self.near_open && is_readable(self.near.as_fd()) {
            self.near_open = copy(self.near.as_fd(), stdout());
        }
        if self.input_open && is_readable(stdin()) {
            self.input_open = copy(stdin(), self.near.as_fd());
        }
    }

    /// Copies out whatever the program has left.
    pub fn drain(&mut self) {
        while is_readable(self.near.as_fd()) && copy(self.near.as_fd(), stdout()) {}
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nothing better can be done about a terminal that is gone.
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

fn watch_size() -> Option<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGWINCH);
    set.thread_block().ok()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).ok()
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let now = rustix::event::Timespec::default();
    rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// One portion; `false` at the end, which a terminal tells by an error.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0_u8; 4096];
    let Ok(size) = rustix::io::read(from, &mut buffer) else { return false };
    let mut rest = buffer.get(..size).unwrap_or_default();
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    size > 0
}
