//! The sensor as a process: what it prints, how it stops, and how it misbehaves when asked to.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

fn sensor(arguments: &[&str], interval: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_skerry-agent-sensor"))
        .args(arguments)
        .env("INTERVAL", interval)
        .env("NAME", "a \"b\"")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn terminate(child: &Child) {
    let status = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
}

#[test]
fn it_counts_up_and_stops_cleanly_on_sigterm() {
    let mut child = sensor(&[], "10ms");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for expected in 0..3 {
        let line = lines.next().unwrap().unwrap();
        assert!(line.starts_with(r#"{"name":"a \"b\"","#), "{line}");
        assert!(line.contains(&format!("\"seq\":{expected},")), "{line}");
    }
    terminate(&child);
    let last = lines.map(Result::unwrap).last().unwrap();
    assert!(last.contains(r#""event":"stopping""#), "{last}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn sigterm_ends_a_long_wait_at_once() {
    let mut child = sensor(&[], "3600s");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    terminate(&child);
    assert!(lines.next().unwrap().unwrap().contains("stopping"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn it_exits_with_the_code_that_is_asked_for() {
    let mut child = sensor(&["--exit", "37"], "1s");
    assert_eq!(child.wait().unwrap().code(), Some(37));
}

#[test]
fn it_answers_a_tcp_connection_with_one_line() {
    let mut child = sensor(&["--listen", "0"], "3600s");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let port: u16 = line.rsplit(':').next().unwrap().trim_end_matches('}').parse().unwrap();
    let mut answer = String::new();
    TcpStream::connect(("127.0.0.1", port)).unwrap().read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "a \"b\" is here\n");
    terminate(&child);
    assert!(child.wait().unwrap().success());
}

#[test]
fn without_a_filter_the_forbidden_calls_are_told_apart_from_refused_ones() {
    let output = sensor(&["--touch-forbidden"], "1s").wait_with_output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.contains("\"ptrace_errno\":0"), "{line}");
    assert!(line.contains("\"seccomp_mode\":0"), "{line}");
}
