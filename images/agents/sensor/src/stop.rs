//! Waits for the next reading or for SIGTERM, whichever comes first.
//!
//! The kernel does not stop process 1 on a signal that it does not handle, so one is handled. The
//! handler writes a byte into a socket on which the main loop waits: nothing is polled, and no signal
//! falls between a check and a sleep.

use std::ffi::c_int;
use std::io::{self, ErrorKind, Read};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

const SIGTERM: c_int = 15;
/// What `signal` returns when it fails.
const SIG_ERR: usize = usize::MAX;

/// Where the handler writes. The descriptor is open for as long as the process lives.
static WAKE: AtomicI32 = AtomicI32::new(-1);

#[allow(unsafe_code)]
// SAFETY: both are in every C library on Linux, with these types.
unsafe extern "C" {
    fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
    fn write(file: c_int, bytes: *const u8, count: usize) -> isize;
}

#[allow(unsafe_code)]
extern "C" fn wake(_: c_int) {
    let byte = 1_u8;
    // SAFETY: write may be called in a signal handler, and `byte` outlives the call. That it can
    // fail changes nothing: a full socket has woken the loop already.
    unsafe {
        write(WAKE.load(Ordering::Relaxed), &raw const byte, 1);
    }
}

/// The end that the main loop waits on.
pub(crate) struct Stop {
    woken: UnixStream,
}

impl Stop {
    /// Handles SIGTERM from now on.
    #[allow(unsafe_code)]
    pub(crate) fn on_sigterm() -> io::Result<Self> {
        let (woken, wakes) = UnixStream::pair()?;
        wakes.set_nonblocking(true)?;
        WAKE.store(wakes.into_raw_fd(), Ordering::Relaxed);
        // SAFETY: `wake` calls only what a signal handler may call, and lives for ever.
        let before = unsafe { signal(SIGTERM, wake) };
        if before == SIG_ERR {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { woken })
    }

    /// Waits; true means that it is time to stop.
    pub(crate) fn wait_until(&self, deadline: Instant) -> io::Result<bool> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.woken.set_read_timeout(Some(left.max(Duration::from_micros(1))))?;
            match (&self.woken).read(&mut [0]) {
                Ok(_) => return Ok(true),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if Instant::now() >= deadline {
                        return Ok(false);
                    }
                }
                Err(e) => return Err(e),
            }
        }
    }
}
