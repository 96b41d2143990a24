//! The table, and what is compiled from it. That the kernel enforces it is shown in
//! `tests/containers/cage.rs`.

use super::*;

fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    TABLE.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').collect())
}

#[test]
fn the_table_has_five_columns_and_known_capabilities() {
    for row in rows() {
        assert_eq!(row.len(), 5, "{row:?}");
        assert!(row[1..4].iter().all(|n| *n == "-" || n.parse::<u32>().is_ok()), "{row:?}");
        assert!(["-", "special"].contains(&row[4]) || row[4].starts_with("CAP_"), "{row:?}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn numbers_agree_with_the_c_library() {
    use nix::libc;
    let number = |name: &str| rows().find(|row| row[0] == name).unwrap()[1].parse::<i64>().unwrap();
    for (name, known) in [
        ("read", libc::SYS_read),
        ("clone", libc::SYS_clone),
        ("clone3", libc::SYS_clone3),
        ("socket", libc::SYS_socket),
        ("mount", libc::SYS_mount),
        ("openat2", libc::SYS_openat2),
        ("futex_waitv", libc::SYS_futex_waitv),
    ] {
        assert_eq!(number(name), known, "{name}");
    }
}

#[test]
fn dangerous_calls_need_a_capability_or_are_absent() {
    for name in ["mount", "unshare", "setns", "bpf", "init_module", "reboot", "open_by_handle_at"] {
        for row in rows().filter(|row| row[0] == name) {
            assert!(row[4].starts_with("CAP_"), "{row:?}");
        }
    }
    for name in ["keyctl", "add_key", "io_uring_setup", "userfaultfd", "kexec_load", "swapon"] {
        assert!(!rows().any(|row| row[0] == name), "{name}");
    }
}

#[test]
fn unconfined_is_no_filter_and_default_is_two() {
    assert!(Filters::new(Seccomp::Unconfined, &[]).unwrap().0.is_empty());
    assert_eq!(Filters::new(Seccomp::Default, &[]).unwrap().0.len(), 2);
    // One who may make namespaces anyway keeps clone3.
    assert_eq!(Filters::new(Seccomp::Default, &["CAP_SYS_ADMIN".to_owned()]).unwrap().0.len(), 1);
}
