//! Process identities, on the real `/proc`.

use super::*;

#[test]
fn this_process_lives_and_keeps_its_identity() {
    let me = identify(std::process::id().cast_signed()).unwrap();
    assert!(lives(me));
    assert!(open(me).unwrap().is_some());
}

#[test]
fn another_start_time_is_another_process() {
    let me = identify(std::process::id().cast_signed()).unwrap();
    let other = ProcessId { start_time: me.start_time + 1, ..me };
    assert!(!lives(other));
    assert!(open(other).unwrap().is_none());
}

#[test]
fn a_name_with_spaces_and_parentheses_is_read_past() {
    let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
    assert_eq!(parse_stat(stat), Some((4711, 'S')));
}

#[test]
fn a_pipe_is_abandoned_when_its_reader_is_gone() {
    use std::os::fd::AsFd;
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    assert!(!is_abandoned(writer.as_fd()));
    drop(reader);
    assert!(is_abandoned(writer.as_fd()));
}
