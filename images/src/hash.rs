//! SHA-256 of what streams by, on a second core where there is one.
//!
//! Decides nothing about the bytes: it counts and hashes them. Its buffers are few and of a fixed
//! size. [`crate::import`] compares the result with what was promised.

use std::io::{self, Read, Write};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{Builder, JoinHandle};

use sha2::{Digest as _, Sha256};
use skerry_core::ids::Digest;

const BUFFERS: usize = 4;
const BUFFER: usize = 256 << 10;

/// A running hash.
pub(crate) enum Hash {
    /// Fed by the caller's thread: no thread could be had, or little is to be hashed.
    Here(Sha256),
    /// Fed through a bounded queue.
    Aside(Aside),
}

pub(crate) struct Aside {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    filling: Vec<u8>,
    thread: JoinHandle<Sha256>,
}

impl Hash {
    /// A hash on this thread.
    pub(crate) fn here() -> Self {
        Self::Here(Sha256::new())
    }

    /// A hash for about `size` bytes: on its own thread when that pays.
    pub(crate) fn sized(size: u64) -> Self {
        if size < (BUFFER * BUFFERS) as u64 { Self::here() } else { Self::aside() }
    }

    /// A hash on a thread of its own, or on this one when the system gives no thread.
    fn aside() -> Self {
        let (full, work) = mpsc::sync_channel::<Vec<u8>>(BUFFERS);
        let (give_back, empty) = mpsc::sync_channel::<Vec<u8>>(BUFFERS);
        for _ in 1..BUFFERS {
            let _ = give_back.try_send(Vec::with_capacity(BUFFER));
        }
        let run = move || {
            let mut hash = Sha256::new();
            for mut buffer in work {
                hash.update(&buffer);
                buffer.clear();
                let _ = give_back.try_send(buffer);
            }
            hash
        };
        match Builder::new().name("hash".to_owned()).spawn(run) {
            Ok(thread) => {
                Self::Aside(Aside { full, empty, filling: Vec::with_capacity(BUFFER), thread })
            }
            Err(_) => Self::here(),
        }
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let aside = match self {
            Self::Here(hash) => {
                hash.update(bytes);
                return Ok(());
            }
            Self::Aside(aside) => aside,
        };
        while !bytes.is_empty() {
            let room = BUFFER - aside.filling.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            aside.filling.extend_from_slice(now);
            bytes = later;
            if aside.filling.len() == BUFFER {
                let next = aside.empty.recv().map_err(|_| thread_ended())?;
                let full = std::mem::replace(&mut aside.filling, next);
                aside.full.send(full).map_err(|_| thread_ended())?;
            }
        }
        Ok(())
    }

    /// The digest of everything.
    pub(crate) fn finish(self) -> io::Result<Digest> {
        let hash = match self {
            Self::Here(hash) => hash,
            Self::Aside(Aside { full, filling, thread, .. }) => {
                full.send(filling).map_err(|_| thread_ended())?;
                drop(full);
                thread.join().map_err(|_| thread_ended())?
            }
        };
        Ok(Digest::from_bytes(hash.finalize().into()))
    }
}

fn thread_ended() -> io::Error {
    io::Error::other("the hashing thread ended early")
}

/// A reader that hashes and counts what passes.
pub(crate) struct HashingReader<R> {
    inner: R,
    hash: Option<Hash>,
    count: u64,
}

impl<R> HashingReader<R> {
    /// Reads `inner` and feeds `hash`, when there is one.
    pub(crate) fn new(inner: R, hash: Option<Hash>) -> Self {
        Self { inner, hash, count: 0 }
    }

    /// The reader inside, how many bytes passed, and their digest if it was asked for.
    pub(crate) fn finish(self) -> io::Result<(R, u64, Option<Digest>)> {
        Ok((self.inner, self.count, self.hash.map(Hash::finish).transpose()?))
    }

    /// The reader inside, for one that wants no digest any more.
    pub(crate) fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let (Some(hash), Some(bytes)) = (&mut self.hash, buffer.get(..read)) {
            hash.update(bytes)?;
        }
        self.count += read as u64;
        Ok(read)
    }
}

/// A writer that hashes and counts what passes.
pub(crate) struct HashingWriter<W> {
    inner: W,
    hash: Hash,
    count: u64,
}

impl<W> HashingWriter<W> {
    /// Writes to `inner` and feeds `hash`.
    pub(crate) fn new(inner: W, hash: Hash) -> Self {
        Self { inner, hash, count: 0 }
    }

    /// The writer inside, how many bytes passed, and their digest.
    pub(crate) fn finish(self) -> io::Result<(W, u64, Digest)> {
        Ok((self.inner, self.count, self.hash.finish()?))
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default())?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests;
