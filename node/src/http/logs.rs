//! Log lines of one agent, as they stand in its files; followed by what is added, if asked for.
//!
//! Reads `agent.log.N` … `agent.log.1`, `agent.log`. It follows by inotify, and across rotations. A
//! slow reader slows only itself: nothing is gathered for it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::{Response, StatusCode};
use rustix::fs::inotify;
use skerry_core::ids::AgentName;
use skerry_core::plan::State;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

use super::{Body, Node, refuse, value};
use crate::readable;
use crate::reconciler::Snapshot;

const CURRENT: &str = "agent.log";
const CHUNK: usize = 64 * 1024;
/// The most lines of a tail; all of it is asked for by leaving `tail` out.
const TAIL_MAX: usize = 100_000;
/// A line in the log is at most this long, prefix included; longer ones stand in parts.
const LINE_MAX: u64 = 64 * 1024;

pub(super) async fn stream(node: &Node, name: &str, query: &str) -> Response<Body> {
    let Ok(agent) = name.parse::<AgentName>() else { return node.unknown(name) };
    let folder = node.containers.log_dir(&agent);
    let known = node.snapshots.borrow().status.contains_key(&agent);
    if !known && !folder.exists() {
        return node.unknown(name);
    }
    let tail = match value(query, "tail").map(str::parse::<usize>) {
        None => None,
        Some(Ok(lines)) => Some(lines.min(TAIL_MAX)),
        Some(Err(_)) => {
            return refuse(StatusCode::BAD_REQUEST, "tail must be a number of lines".to_owned());
        }
    };
    let follow = value(query, "follow").is_some_and(|text| text != "0");
    let (sender, receiver) = mpsc::channel::<Bytes>(4);
    let snapshots = node.snapshots.clone();
    tokio::spawn(async move {
        let reader = LogReader { agent, folder, sender, snapshots };
        if let Err(error) = reader.run(tail, follow).await {
            tracing::debug!(%error, "local API: log stream ended");
        }
    });
    let chunks = frames(receiver);
    Response::new(BodyExt::boxed(StreamBody::new(chunks)))
}

/// A stream of body frames out of a channel.
fn frames(
    receiver: mpsc::Receiver<Bytes>,
) -> impl futures_core::Stream<Item = Result<Frame<Bytes>, std::convert::Infallible>> {
    struct Frames(mpsc::Receiver<Bytes>);
    impl futures_core::Stream for Frames {
        type Item = Result<Frame<Bytes>, std::convert::Infallible>;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            self.0.poll_recv(context).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
        }
    }
    Frames(receiver)
}

struct LogReader {
    agent: AgentName,
    snapshots: watch::Receiver<Snapshot>,
    folder: PathBuf,
    sender: mpsc::Sender<Bytes>,
}

impl LogReader {
    async fn run(self, tail: Option<usize>, follow: bool) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        // The watch first, so that nothing written after the reading is missed.
        let watch = follow.then(|| watch_folder(&self.folder)).transpose()?;
        let mut skip = match tail {
            None => 0,
            Some(lines) => skip_for_tail(&self.folder, lines)?,
        };
        let mut current = None;
        for path in files(&self.folder) {
            let Ok(mut file) = File::open(&path) else { continue };
            if skip > 0 {
                skip = skip_lines(&mut file, skip)?;
            }
            if !self.copy(&mut file).await? {
                return Ok(());
            }
            current = Some(file);
        }
        match watch {
            Some(watch) => self.follow(watch, current).await,
            None => Ok(()),
        }
    }

    /// Sends what is left in a file; `false` if nobody listens any more.
    async fn copy(&self, file: &mut File) -> std::io::Result<bool> {
        loop {
            let mut chunk = vec![0; CHUNK];
            let count = file.read(&mut chunk)?;
            if count == 0 {
                return Ok(!self.sender.is_closed());
            }
            chunk.truncate(count);
            if self.sender.send(chunk.into()).await.is_err() {
                return Ok(false);
            }
        }
    }

    async fn follow(
        &self,
        watch: AsyncFd<OwnedFd>,
        mut current: Option<File>,
    ) -> std::io::Result<()> {
        let path = self.folder.join(CURRENT);
        let mut snapshots = self.snapshots.clone();
        let mut over = false;
        loop {
            // What was added to the open file first: after a rotation it is the older one.
            if let Some(file) = &mut current
                && !self.copy(file).await?
            {
                return Ok(());
            }
            if rotated(&path, current.as_ref()) {
                current = File::open(&path).ok();
                continue;
            }
            if over {
                return Ok(());
            }
            let mut guard = tokio::select! {
                guard = watch.readable() => guard?,
                // What was printed last may still be unread: once more around.
                _ = snapshots.wait_for(|now| is_over(now, &self.agent)) => {
                    over = true;
                    continue;
                }
                () = self.sender.closed() => return Ok(()),
            };
            drain(guard.get_inner());
            guard.clear_ready();
        }
    }
}

/// Whether an agent ended for good, or is gone.
fn is_over(snapshot: &Snapshot, agent: &AgentName) -> bool {
    let ended = [State::Completed, State::Failed, State::Stopped, State::GaveUp];
    snapshot.status.get(agent).is_none_or(|status| ended.contains(&status.state))
}

fn watch_folder(folder: &Path) -> std::io::Result<AsyncFd<OwnedFd>> {
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let fd = inotify::init(flags)?;
    let changes = inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::CREATE
        | inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::MOVED_FROM;
    inotify::add_watch(&fd, folder, changes)?;
    readable::watch(fd)
}

fn drain(fd: &OwnedFd) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(fd, &mut buffer);
    while reader.next().is_ok() {}
}

/// Whether the current file is another than the open one.
fn rotated(path: &Path, open: Option<&File>) -> bool {
    let Ok(now) = std::fs::metadata(path) else { return false };
    let Some(open) = open.and_then(|file| file.metadata().ok()) else { return true };
    (now.dev(), now.ino()) != (open.dev(), open.ino())
}

/// The log files, oldest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut rotated: Vec<(u32, PathBuf)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name.to_str()?.strip_prefix("agent.log.")?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    rotated.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    let current = folder.join(CURRENT);
    rotated.into_iter().map(|(_, path)| path).chain(std::iter::once(current)).collect()
}

/// How many lines to leave out, so that `lines` are left.
fn skip_for_tail(folder: &Path, lines: usize) -> std::io::Result<usize> {
    let mut total = 0usize;
    for path in files(folder) {
        let Ok(file) = File::open(&path) else { continue };
        total += BufReader::with_capacity(CHUNK, file)
            .split(b'\n')
            .try_fold(0, |n, line| line.map(|_| n + 1))?;
    }
    Ok(total.saturating_sub(lines))
}

/// Moves past so many lines; returns how many were not there.
fn skip_lines(file: &mut File, lines: usize) -> std::io::Result<usize> {
    let mut reader = BufReader::with_capacity(CHUNK, &mut *file);
    let mut line = Vec::new();
    let (mut left, mut at) = (lines, 0u64);
    while left > 0 {
        line.clear();
        let count = (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line)?;
        if count == 0 {
            break;
        }
        at += count as u64;
        left -= usize::from(line.ends_with(b"\n"));
    }
    drop(reader);
    file.seek(SeekFrom::Start(at))?;
    Ok(left)
}
