//! The table, and what is compiled from it. That the kernel enforces it is shown in
//! `tests/containers/cage.rs`.

use super::*;

fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    TABLE.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').collect())
}

#[test]
fn the_table_has_six_columns_and_known_capabilities() {
    for row in rows() {
        assert_eq!(row.len(), 6, "{row:?}");
        assert!(row[1..5].iter().all(|n| *n == "-" || n.parse::<u32>().is_ok()), "{row:?}");
        assert!(
            ["-", "special", "never"].contains(&row[5]) || row[5].starts_with("CAP_"),
            "{row:?}"
        );
    }
}

#[test]
fn numbers_agree_with_the_c_library() {
    use nix::libc;
    let (column, _) = target().unwrap();
    let number = |name: &str| {
        rows().find(|row| row[0] == name).unwrap()[column].parse::<libc::c_long>().unwrap()
    };
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
            assert!(row[5].starts_with("CAP_"), "{row:?}");
        }
    }
    for name in ["keyctl", "add_key", "io_uring_setup", "userfaultfd", "kexec_load", "swapon"] {
        assert!(rows().any(|row| row[0] == name && row[5] == "never"), "{name}");
    }
}

#[test]
fn unconfined_is_no_filter_and_default_is_one() {
    assert!(Filter::new(&Seccomp::Unconfined, &[]).unwrap().0.is_none());
    let program = Filter::new(&Seccomp::Default, &[]).unwrap().0.unwrap();
    assert!(program.len() < 400, "{} instructions", program.len());
}

#[test]
fn a_capability_brings_the_calls_that_need_it() {
    let number = |name: &str| rows().find(|row| row[0] == name).unwrap()[1].parse::<u32>().unwrap();
    let plain = verdicts(1, &[]).unwrap();
    assert_eq!(plain.get(&number("read")), Some(&Verdict::Allow));
    assert_eq!(plain.get(&number("mount")), None);
    assert_eq!(plain.get(&number("clone3")), Some(&Verdict::Fail(ENOSYS)));
    let admin = verdicts(1, &["CAP_SYS_ADMIN".to_owned()]).unwrap();
    assert_eq!(admin.get(&number("mount")), Some(&Verdict::Allow));
    assert_eq!(admin.get(&number("clone3")), Some(&Verdict::Allow));
    assert_eq!(admin.get(&number("reboot")), None);
}

#[test]
fn no_file_is_taken_out_of_the_quota_that_it_counts_towards() {
    let ioctl = rows().find(|row| row[0] == "ioctl").unwrap()[1].parse::<u32>().unwrap();
    let verdicts = verdicts(1, &[]).unwrap();
    let Some(Verdict::Judge(rules, otherwise)) = verdicts.get(&ioctl) else { panic!("no rules") };
    assert_eq!(*otherwise, compile::RETURN_ALLOW);
    for request in [0x401c_5820, 0x4008_6602, 0x4004_6602] {
        assert!(rules.iter().any(|(is, _)| is[0].value_two == request));
    }
}
