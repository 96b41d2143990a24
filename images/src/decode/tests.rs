use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

fn pipe(tool: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot run {tool} ({e}): apt-get install {tool}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feed = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn decoded(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    Decoder::new(bytes)?.read_to_end(&mut out)?;
    Ok(out)
}

fn text() -> Vec<u8> {
    (0..400_000_u32).flat_map(|i| (i / 7).to_le_bytes()).collect()
}

#[test]
fn gzip_and_zstd_streams_of_several_parts_are_read_to_the_end() {
    let (one, two) = (text(), b"and the rest".to_vec());
    let both = [one.clone(), two.clone()].concat();
    for (tool, level) in [("gzip", "-9"), ("zstd", "-19")] {
        let parts = [pipe(tool, &["-c", level], &one), pipe(tool, &["-c", level], &two)].concat();
        assert_eq!(decoded(&parts).unwrap(), both, "{tool}");
    }
}

#[test]
fn skippable_zstd_frames_are_skipped() {
    let skip = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
    let stream = [&skip[..], &pipe("zstd", &["-c"], b"text"), &skip].concat();
    assert_eq!(decoded(&stream).unwrap(), b"text");
}

#[test]
fn a_zstd_frame_that_asks_for_a_huge_window_is_refused_before_it_is_allocated() {
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0, 0, 0, 0, 0, 0];
    let error = decoded(&frame).unwrap_err().to_string();
    assert!(error.contains("window"), "{error}");
    let single = [0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0];
    assert!(decoded(&single).unwrap_err().to_string().contains("window"));
}

#[test]
fn a_truncated_stream_is_an_error_and_not_an_early_end() {
    for tool in ["gzip", "zstd"] {
        let whole = pipe(tool, &["-c"], &text());
        assert!(decoded(&whole[..whole.len() / 2]).is_err(), "{tool}");
        assert!(decoded(&whole[..whole.len() - 1]).is_err(), "{tool}");
    }
}

#[test]
fn a_capped_reader_fails_instead_of_ending() {
    let mut out = Vec::new();
    let mut exact = Capped::new(&b"12345"[..], 5);
    exact.read_to_end(&mut out).unwrap();
    assert!(!exact.exceeded());
    let mut over = Capped::new(&b"123456"[..], 5);
    assert!(over.read_to_end(&mut out).is_err());
    assert!(over.exceeded());
}
