//! Times and lines. Whole logs of real agents are in `tests/containers/logs.rs`.

use super::*;

#[test]
fn moments_are_written_as_rfc_3339() {
    for (seconds, wanted) in [
        (0, "1970-01-01T00:00:00.000000007Z"),
        (951_782_399, "2000-02-28T23:59:59.000000007Z"),
        (951_782_400, "2000-02-29T00:00:00.000000007Z"),
        (951_868_800, "2000-03-01T00:00:00.000000007Z"),
        (1_709_251_199, "2024-02-29T23:59:59.000000007Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000000007Z"),
    ] {
        assert_eq!(Stamp::of(Duration::new(seconds, 7)).0, wanted);
    }
}

fn written(portions: &[&[u8]]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let policy =
        LogPolicy { dir: folder.path().to_owned(), max_bytes: 1 << 20, files: 1, rate_limit: None };
    let mut log = Log::open(policy);
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let mut stream = Stream::new(reader, "stdout").unwrap();
    for portion in portions {
        rustix::io::write(&writer, portion).unwrap();
        while stream.pump(&mut log) {}
    }
    drop(writer);
    assert!(!stream.pump(&mut log));
    assert!(stream.pipe().is_none());
    let text = std::fs::read_to_string(folder.path().join(NAME)).unwrap();
    let texts = text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned() + "\n");
    texts.collect()
}

#[test]
fn a_line_that_comes_in_portions_is_one_line() {
    assert_eq!(written(&[b"ab", b"c\nd", b"ef\n"]), "stdout F abc\nstdout F def\n");
}

#[test]
fn empty_lines_and_a_last_line_without_end_are_kept() {
    assert_eq!(written(&[b"\n\nend"]), "stdout F \nstdout F \nstdout F end\n");
}

#[test]
fn a_line_of_exactly_the_most_is_not_followed_by_an_empty_part() {
    let mut line = vec![b'x'; LINE_MAX];
    let first = line.split_off(100);
    let text = written(&[&line, &first, b"\nnext\n"]);
    let sizes: Vec<(&str, usize)> = text.lines().map(|line| (&line[..9], line.len() - 9)).collect();
    // The end arrives after the part was written, so it closes an empty rest, as CRI allows.
    assert_eq!(sizes, [("stdout P ", LINE_MAX), ("stdout F ", 0), ("stdout F ", 4)]);
}
