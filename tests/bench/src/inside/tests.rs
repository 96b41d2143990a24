use super::read;

const SAID: &str = "probe 1\n== namespaces\npid:[4026532]\nnet:[4026533]\n== /proc/self/mountinfo\n\
    36 35 0:21 / / ro,relatime - ext4 /dev/vda rw\n\
    37 36 0:22 / /proc rw,nosuid shared:3 - proc proc rw\n\
    == /proc/self/status\nName:\tprobe\nCapEff:\t0000000020000420\nNoNewPrivs:\t1\nSeccomp:\t0\n== end\n";

#[test]
fn a_sandbox_is_read_from_what_the_probe_shows() {
    let inside = read(SAID);
    assert_eq!(inside.namespaces.get("net").map(String::as_str), Some("4026533"));
    assert_eq!(
        inside.mounts.iter().map(String::as_str).collect::<Vec<_>>(),
        ["/ root ro", "/proc proc rw"]
    );
    assert_eq!(inside.capabilities, "0000000020000420");
    assert!(inside.no_new_privs && !inside.seccomp);
}

#[test]
fn log_prefixes_change_nothing() {
    let prefixed: String =
        SAID.lines().map(|line| format!("2026-01-01T00:00:00.000Z out {line}\n")).collect();
    assert_eq!(read(&prefixed), read(SAID));
}
