//! The kernel's word that a device came: its socket, and the reading of one message.
//!
//! Loads nothing and mounts nothing; see `boot.rs` for what is done about a device.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt,
};

use crate::trouble::{Doing, Trouble};

/// One message, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `add`, `remove`, `change`…
    pub action: String,
    /// `block`, `net`, `usb`…
    pub subsystem: String,
    /// What a driver is found by.
    pub modalias: Option<String>,
    /// The name of a network interface.
    pub interface: Option<String>,
}

impl Event {
    /// Reads a message: fields that end in a zero byte, the first of which is a summary.
    pub fn parse(message: &[u8]) -> Self {
        let mut event = Self::default();
        for field in message.split(|byte| *byte == 0).skip(1) {
            let field = String::from_utf8_lossy(field);
            match field.split_once('=') {
                Some(("ACTION", value)) => value.clone_into(&mut event.action),
                Some(("SUBSYSTEM", value)) => value.clone_into(&mut event.subsystem),
                Some(("MODALIAS", value)) => event.modalias = Some(value.to_owned()),
                Some(("INTERFACE", value)) => event.interface = Some(value.to_owned()),
                _ => {}
            }
        }
        event
    }
}

/// The socket on which messages come.
#[derive(Debug)]
pub struct Uevents(OwnedFd);

impl Uevents {
    /// Opens it. What happened before is not told again: look at `/sys` after this.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn open() -> Result<Self, Trouble> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkKObjectUEvent;
        let fd = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)
            .doing("open", "the socket of device events")?;
        // A cold plug of everything makes hundreds.
        let _ = setsockopt(&fd, sockopt::RcvBufForce, &(1 << 20));
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 1)).doing("listen on", "device events")?;
        Ok(Self(fd))
    }

    /// The next message that waits, if any. A message that was too long or lost is skipped.
    pub fn next(&self) -> Option<Event> {
        let mut buffer = [0; 8192];
        loop {
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => return Some(Event::parse(buffer.get(..length).unwrap_or(&[]))),
                Err(nix::Error::ENOBUFS | nix::Error::EINTR) => {}
                Err(_) => return None,
            }
        }
    }
}

impl AsFd for Uevents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
#[path = "uevent/tests.rs"]
mod tests;
