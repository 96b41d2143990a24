use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

/// A line with a shell of this machine at its other end. `noise` comes before each of its lines.
fn shell(noise: &'static str) -> Shell {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line");
    let listener = UnixListener::bind(&path).unwrap();
    let shell = Shell::connect(&path).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    let mut child = Command::new("sh")
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(far.try_clone().unwrap())))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if far.write_all(format!("{noise}{line}\r\n").as_bytes()).is_err() {
                break;
            }
        }
        let _ = child.wait();
    });
    shell
}

#[test]
fn what_a_command_prints_comes_back_as_it_was() {
    let mut shell = shell("");
    let said = shell.run("printf 'a\\n\\nb'; printf c >&2; exit 3", LIMIT).unwrap();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("a\n\nb", "c"));
    assert_eq!(said.status.code(), Some(3));
    let said = shell.run("echo @1@ .; seq 20000", LIMIT).unwrap();
    assert_eq!(said.stdout.lines().count(), 20_001, "a mark in the output is no mark");
    let long = "x".repeat(100_000);
    assert_eq!(
        shell.run(&format!("printf %s {long} | wc -c"), LIMIT).unwrap().stdout.trim(),
        "100000"
    );
    assert_eq!(shell.run("", LIMIT).unwrap().stdout, "");
}

#[test]
fn a_shell_that_is_called_goes_on_hushed() {
    let mut shell = shell("");
    shell.ready(LIMIT).unwrap();
    assert_eq!(shell.run("echo a", LIMIT).unwrap().stdout, "a\n");
    shell.ready(LIMIT).unwrap();
    assert_eq!(shell.run("echo b", LIMIT).unwrap().stdout, "b\n");
}

#[test]
fn words_of_the_kernel_do_no_harm_and_a_damaged_answer_is_none() {
    let mut noisy = shell("[    1.5] a word of the kernel\r\n");
    assert_eq!(noisy.run("echo hello", LIMIT).unwrap().stdout, "hello\n");
    let mut broken = shell("kernel\r\n");
    let said = broken.run("echo hello", LIMIT);
    assert!(matches!(said, Err(ShellError::Garbled(_))), "{said:?}");
}

#[test]
fn a_command_that_takes_too_long_and_a_line_that_is_gone_are_told_apart() {
    let mut shell = shell("");
    let said = shell.run("sleep 1", Duration::from_millis(50));
    assert!(matches!(said, Err(ShellError::Late(..))), "{said:?}");
    assert!(
        shell.run("echo after", LIMIT).unwrap().stdout == "after\n",
        "the late one is passed over"
    );
    let _ = shell.send("", "exit\n");
    let said = shell.run("true", LIMIT);
    assert!(matches!(said, Err(ShellError::Gone(_))), "{said:?}");
}

#[test]
fn words_are_quoted_for_the_shell() {
    assert_eq!(quoted("image"), "image");
    assert_eq!(quoted(""), "''");
    assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
}
