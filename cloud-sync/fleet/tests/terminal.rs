//! The tool at a terminal: it asks for passphrases, and shows nothing of them.
//!
//! `script` (bsdutils, part of every Debian) gives it the terminal.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test whose set-up fails has failed, and must say so at once"
)]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// The tool at a terminal of its own, and what the terminal has shown so far.
struct Terminal {
    child: Child,
    screen: Receiver<Vec<u8>>,
    shown: String,
}

impl Terminal {
    fn new(folder: &Path, arguments: &str) -> Self {
        let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_skerry-fleet"));
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
        // What the caller has in its environment would answer instead.
        let answers = std::env::vars_os().map(|(name, _)| name);
        for name in answers.filter(|name| name.to_string_lossy().starts_with("SKERRY_")) {
            script.env_remove(name);
        }
        script.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().expect("`script` runs: apt-get install bsdutils");
        let mut output = child.stdout.take().expect("it is a pipe");
        let (say, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(size @ 1..) = output.read(&mut buffer) {
                if say.send(buffer.get(..size).unwrap_or_default().to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, screen, shown: String::new() }
    }

    /// Waits until it asks, and answers at once.
    fn answer(&mut self, question: &str, answer: &str) {
        while !self.shown.ends_with(question) {
            let more = self.screen.recv_timeout(PATIENCE);
            let more = more.unwrap_or_else(|_| panic!("{question:?} is not asked: {}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&more));
        }
        let stdin = self.child.stdin.as_mut().expect("it is a pipe");
        stdin.write_all(format!("{answer}\n").as_bytes()).expect("the terminal takes a line");
    }

    /// Its end: whether it went well, and all that was shown.
    fn end(mut self) -> (bool, String) {
        while let Ok(more) = self.screen.recv_timeout(PATIENCE) {
            self.shown.push_str(&String::from_utf8_lossy(&more));
        }
        (self.child.wait().expect("it ends").success(), self.shown)
    }
}

#[test]
fn passphrases_are_asked_for_at_a_terminal_and_never_shown() {
    let place = tempfile::tempdir().expect("a folder");
    let mut init = Terminal::new(place.path(), "init --broker mqtt://127.0.0.1:1");
    init.answer("New passphrase for the online keys: ", "correct horse");
    init.answer("The same again: ", "correct horse");
    init.answer("New passphrase for the offline keys: ", "battery staple");
    init.answer("The same again: ", "battery staple");
    let (well, shown) = init.end();
    assert!(well, "{shown}");
    assert!(!shown.contains("correct horse") && !shown.contains("battery staple"), "{shown}");

    let mut wrong = Terminal::new(place.path(), "key rotate timestamp");
    wrong.answer("Passphrase of the offline keys: ", "something else");
    let (well, shown) = wrong.end();
    assert!(!well && shown.contains("passphrase is wrong"), "{shown}");
    assert!(!shown.contains("something else"), "{shown}");
}

#[test]
fn two_different_answers_make_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let mut init = Terminal::new(place.path(), "init --broker mqtt://127.0.0.1:1");
    init.answer("New passphrase for the online keys: ", "correct horse");
    init.answer("The same again: ", "correct house");
    let (well, shown) = init.end();
    assert!(!well && shown.contains("both passphrases for the online keys differ"), "{shown}");
    assert!(!place.path().join("fleet/keys").exists(), "no key was made");
}
