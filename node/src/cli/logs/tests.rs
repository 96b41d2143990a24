use super::*;

const LOG: &[u8] = b"2026-01-02T03:04:05.000000001Z stdout F first\n\
2026-01-02T03:04:05.000000002Z stderr P half of \n\
2026-01-02T03:04:05.000000003Z stderr F a long line\n\
2026-01-02T03:04:06.000000000Z stdout F \n\
2026-01-02T03:04:07.000000000Z stdout F   indented  \n";

fn all(timestamps: bool, log: &[u8], size: usize) -> String {
    let mut lines = Lines::new(timestamps, None);
    let mut out: Vec<u8> = log.chunks(size).flat_map(|piece| lines.take(piece)).collect();
    out.extend(lines.end());
    String::from_utf8(out).unwrap()
}

#[test]
fn the_agents_own_output_comes_back_however_it_is_cut() {
    for size in 1..LOG.len() {
        assert_eq!(all(false, LOG, size), "first\nhalf of a long line\n\n  indented  \n");
    }
}

#[test]
fn only_what_is_new_enough_is_shown() {
    let mut lines = Lines::new(false, Some(since("2026-01-02T04:04:06+01:00").unwrap()));
    assert_eq!(String::from_utf8(lines.take(LOG)).unwrap(), "\n  indented  \n");
    assert_eq!(since("2026-01-02T03:04:05Z").unwrap(), "2026-01-02T03:04:05.000000000Z");
    assert!(since("1h30m").unwrap() < since("90s").unwrap());
    assert!(since("yesterday").unwrap_err().contains("nor a duration, such as 90s"));
}

#[test]
fn timestamps_begin_lines_and_not_parts() {
    let text = all(true, LOG, 7);
    assert!(text.starts_with("2026-01-02T03:04:05.000000001Z first\n"), "{text}");
    assert!(text.contains("000000002Z half of a long line\n"), "{text}");
}

#[test]
fn a_part_is_not_glued_to_the_other_stream() {
    let log = b"2026-01-02T03:04:05Z stdout P ab\n2026-01-02T03:04:05Z stderr F cd\n";
    assert_eq!(all(false, log, 9), "ab\ncd\n");
    assert_eq!(all(false, &log[..33], 9), "ab\n");
}

#[test]
fn what_is_in_no_format_is_shown_as_it_is() {
    assert_eq!(all(false, b"plain words here\n\nno end", 4), "plain words here\n\nno end");
    let long = vec![b'x'; LINE_MAX * 3];
    assert_eq!(all(false, &long, 1000).len(), long.len());
}
