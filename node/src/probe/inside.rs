//! A connection to a port inside an agent's network namespace.
//!
//! A socket stays in the namespace that it was made in. So a thread enters the namespace, makes the
//! socket and ends, which never takes long; connecting is then an ordinary wait of the event loop.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

/// Enough for three system calls.
const STACK: usize = 64 * 1024;

/// Does something in a thread of its own, of which there are only so many at once. One that hangs
/// keeps its place.
pub(super) async fn aside<T: Send + 'static>(
    threads: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let turn = threads.clone().acquire_owned().await.map_err(|error| error.to_string())?;
    let (done, answer) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("probe".into()).stack_size(STACK);
    let spawned = thread.spawn(move || {
        let result = work();
        drop(turn);
        drop(done.send(result));
    });
    spawned.map_err(|error| format!("cannot begin: {error}"))?;
    answer.await.map_err(|_| "ended without an answer".to_owned())
}

/// Connects to a port of the agent's loopback interface.
pub(super) async fn connect(
    threads: &Arc<Semaphore>,
    pid: i32,
    port: u16,
) -> Result<TcpStream, String> {
    let fd = aside(threads, move || socket_in(pid)).await??;
    let socket = TcpSocket::from_std_stream(fd.into());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    socket.connect(address).await.map_err(|error| format!("port {port}: {error}"))
}

/// A socket in the network namespace of a process; leaves the calling thread in there.
fn socket_in(pid: i32) -> Result<OwnedFd, String> {
    let namespace = File::open(format!("/proc/{pid}/ns/net"))
        .map_err(|error| format!("the agent's network is gone: {error}"))?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| format!("cannot enter the agent's network: {error}"))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
        .map_err(|error| format!("cannot make a socket: {error}"))
}
