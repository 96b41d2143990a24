use super::*;

#[test]
fn the_nodes_levels_are_kept() {
    assert_eq!(level_of("2026-11-22T02:24:41Z ERROR state notice"), Level::Error);
    assert_eq!(level_of("2026-11-22T02:24:41Z  WARN link"), Level::Warning);
    assert_eq!(level_of("2026-11-22T02:24:41Z  INFO ready node=vm"), Level::Info);
    assert_eq!(level_of("error: cannot open the store"), Level::Error);
    assert_eq!(level_of("thread 'main' panicked at x.rs:1"), Level::Error);
    assert_eq!(level_of(""), Level::Info);
}

#[test]
fn a_long_line_is_cut_between_letters() {
    assert_eq!(cut("aäb", 2), "a");
    assert_eq!(cut("aäb", 3), "aä");
    assert_eq!(cut("ab", 900), "ab");
}
