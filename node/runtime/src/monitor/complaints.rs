//! Keeps what libcontainer complains of while it makes a container.
//!
//! Its errors say little ("failed to unix syscall"); what it logs at the place of the fault says
//! what was refused, and why. This collects those lines in a pipe that the monitor reads only when
//! the making has failed. It never waits: what does not fit is dropped.

use std::fmt::{Debug, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::{failure, sys};

/// Sends every error that is logged from now on, in this process and those forked from it, into
/// the pipe, which stays open as long as they live.
pub fn collect_into(pipe: OwnedFd) {
    let fd = pipe.as_raw_fd();
    // Of no use without the other end, and the process is a short-lived one.
    let kept = rustix::io::ioctl_fionbio(&pipe, true).is_ok()
        && tracing::subscriber::set_global_default(Complaints { fd }).is_ok();
    if kept {
        std::mem::forget(pipe);
    }
}

/// The first complaint, which is the one nearest to the fault, if there is any.
pub fn first(pipe: &OwnedFd) -> Option<String> {
    rustix::io::ioctl_fionbio(pipe, true).ok()?;
    let mut buffer = [0_u8; 4096];
    let size = rustix::io::read(pipe, &mut buffer).ok()?;
    let text = String::from_utf8_lossy(buffer.get(..size)?);
    text.lines().next().map(str::to_owned)
}

struct Complaints {
    fd: RawFd,
}

impl Subscriber for Complaints {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::ERROR)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let mut text = line.message;
        if !line.details.is_empty() {
            text = format!("{text} ({})", line.details);
        }
        text = text.replace('\n', " ");
        failure::cut(&mut text, 1000);
        text.push('\n');
        sys::with_borrowed(self.fd, |fd| rustix::io::write(fd, text.as_bytes()).ok());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    details: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a text cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            let comma = if self.details.is_empty() { "" } else { ", " };
            write!(self.details, "{comma}{}: {value:?}", field.name())
        };
    }
}
