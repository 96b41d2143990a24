//! The filter of version 2, on the version 2 hierarchy that hybrid machines have too.

use std::process::Command;

use super::*;

/// Runs a script in a new version 2 group with this filter; `$f` is a file for disk 7:0.
fn said_under(nodes: &[Node], script: &str) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mount =
        lines.find(|fields| fields[2] == "cgroup2").expect("mount cgroup2 somewhere")[1].to_owned();
    let dir = Path::new(&mount).join(format!("skerry-unit-devices-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    assert!(attach(&dir, nodes).unwrap(), "this kernel has no device filters");
    let script = format!(
        r#"f=/run/skerry-unit-disk-$$; mknod $f b 7 0 || exit 8
        echo 0 > "$0/cgroup.procs" || exit 9
        {script}
        rm $f"#
    );
    let output = Command::new("sh").args(["-c", &script]).arg(&dir).output().unwrap();
    std::fs::remove_dir(&dir).unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

const SCRIPT: &str = "(: < $f) 2>/dev/null && echo read
    (: >> $f) 2>/dev/null && echo written
    mknod $f.2 b 7 0 2>/dev/null && echo made && rm $f.2";

#[test]
fn a_filter_refuses_a_disk_and_allows_the_standard_devices() {
    let standard = "head -c 1 /dev/zero | wc -c; head -c 1 /dev/urandom | wc -c
        echo x > /dev/null && echo null";
    assert_eq!(said_under(&[], &format!("{SCRIPT}\n{standard}")), "1\n1\nnull\n");
}

#[test]
fn a_filter_allows_what_a_device_is_given_for_and_no_more() {
    let node = |allowed| {
        let device = crate::launch::Device {
            path: "/dev/loop0".into(),
            target: None,
            read: true,
            write: true,
            mknod: true,
        };
        let launch = crate::Launch { devices: vec![device], ..crate::Launch::default() };
        let mut node = crate::devices::resolve(&launch).unwrap().remove(0);
        assert_eq!((node.kind, node.major, node.minor), (Kind::Block, 7, 0));
        node.allowed = allowed;
        [node]
    };
    assert_eq!(said_under(&node([true, false, false]), SCRIPT), "read\n");
    assert_eq!(said_under(&node([true, true, false]), SCRIPT), "read\nwritten\n");
    assert_eq!(said_under(&node([false, false, true]), SCRIPT), "made\n");
}

#[test]
fn version_1_gets_the_same_in_its_words() {
    let rules: Vec<String> = rules(&[]).map(|rule| rule.text()).collect();
    assert_eq!(rules.first().unwrap(), "c 1:3 rwm");
    assert!(rules.contains(&"c 136:* rwm".to_owned()) && rules.contains(&"c 0:0 m".to_owned()));
}
