//! The filter of version 2, on the version 2 hierarchy that hybrid machines have too.

use std::process::Command;

use super::*;

#[test]
fn a_filter_refuses_a_disk_and_allows_the_standard_devices() {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mount =
        lines.find(|fields| fields[2] == "cgroup2").expect("mount cgroup2 somewhere")[1].to_owned();
    let dir = Path::new(&mount).join(format!("skerry-unit-devices-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    assert!(attach(&dir).unwrap(), "this kernel has no device filters");

    let script = r#"echo 0 > "$0/cgroup.procs" || exit 9
        f=/run/skerry-unit-disk-$$; mknod $f b 7 0 || exit 8
        head -c 1 $f 2>&1; rm $f
        head -c 1 /dev/zero | wc -c; head -c 1 /dev/urandom | wc -c; echo x > /dev/null && echo null"#;
    let output = Command::new("sh").args(["-c", script]).arg(&dir).output().unwrap();
    std::fs::remove_dir(&dir).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Operation not permitted"), "{text} {:?}", output.stderr);
    assert!(text.ends_with("1\n1\nnull\n"), "{text}");
}
