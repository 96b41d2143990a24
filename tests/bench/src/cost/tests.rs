use super::{Counters, counters, memory, parse_memory, running};

const ROLLUP: &str = "00400000-7fff r--p 00000000 00:00 0 [rollup]\nRss:  900 kB\nPss:  300 kB\n\
    Pss_Dirty: 64 kB\nPss_Anon: 60 kB\nPrivate_Clean: 8 kB\nPrivate_Dirty: 64 kB\n";

#[test]
fn memory_is_read_by_whole_names() {
    let found = parse_memory(ROLLUP).expect("a rollup");
    assert_eq!((found.pss, found.private, found.private_dirty), (300, 72, 64));
}

#[test]
fn this_process_has_memory_and_is_found_by_its_file() {
    let me = std::process::id();
    assert!(memory(me).expect("a live process").pss > 0);
    assert!(counters(me).expect("a live process").switches > 0);
    let exe = std::env::current_exe().expect("a path");
    assert!(running(&exe).contains(&me));
}

#[test]
fn counters_are_compared_with_earlier_ones() {
    let before = Counters { switches: 2, written: 4096 };
    let after = Counters { switches: 5, written: 4096 };
    assert_eq!(after.since(before), Counters { switches: 3, written: 0 });
}
