#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::ledger::Request;

const PATIENCE: &str = "20000";

fn heard(socket: &UnixDatagram) -> Option<String> {
    let mut buffer = [0; 64];
    let size = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..size]).into_owned())
}

fn manager(folder: &tempfile::TempDir) -> (UnixDatagram, OsString) {
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    (socket, path.into_os_string())
}

#[test]
fn words_go_to_a_path_or_to_an_abstract_name() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, path) = manager(&folder);
    let notify = Notify::new(Some(path), None);
    notify.ready();
    notify.stopping();
    assert_eq!(heard(&socket).as_deref(), Some("READY=1"));
    assert_eq!(heard(&socket).as_deref(), Some("STOPPING=1"));

    let name = format!("skerry-test-{}", std::process::id());
    let hidden = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    Notify::new(Some(format!("@{name}").into()), None).ready();
    assert_eq!(heard(&hidden).as_deref(), Some("READY=1"));
}

#[tokio::test]
async fn without_a_manager_nothing_is_told_and_no_timer_runs() {
    let (desk, _requests) = Desk::new();
    let (reconciler, mut events) = mpsc::channel(1);
    let nowhere = Notify::new(None, Some(PATIENCE));
    nowhere.ready();
    // Returns, though nobody serves the two.
    nowhere.watchdog(desk.clone(), reconciler.clone()).await;

    let folder = tempfile::tempdir().unwrap();
    let (_socket, path) = manager(&folder);
    for not_asked in [None, Some("0"), Some("soon")] {
        Notify::new(Some(path.clone()), not_asked).watchdog(desk.clone(), reconciler.clone()).await;
    }
    assert!(events.try_recv().is_err());
}

#[tokio::test]
async fn signs_of_life_stop_when_either_task_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, path) = manager(&folder);
    socket.set_nonblocking(true).unwrap();
    let (desk, mut requests) = Desk::new();
    let (reconciler, mut events) = mpsc::channel(1);
    let notify = Notify::new(Some(path), Some(PATIENCE));
    tokio::spawn(async move { notify.watchdog(desk, reconciler).await });

    // Both answer: a sign.
    let Some(Request::Pulse(done)) = requests.recv().await else { panic!("not a pulse") };
    done.send(Ok(())).unwrap();
    assert_eq!(heard(&socket), None, "a sign came before the reconciler had answered");
    let Some(Event::Pulse(done)) = events.recv().await else { panic!("not a pulse") };
    done.send(()).unwrap();
    while heard(&socket).as_deref() != Some("WATCHDOG=1") {
        tokio::task::yield_now().await;
    }

    // The ledger takes the next question and never answers: no sign, and the reconciler is not asked.
    let held = requests.recv().await;
    assert!(tokio::time::timeout(Duration::from_millis(100), events.recv()).await.is_err());
    assert_eq!(heard(&socket), None);
    drop(held);
}
