use super::*;

fn found(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(name, value)| (format!("/sys/x/{name}"), (*value).to_owned())).collect()
}

#[test]
fn limits_are_understood_in_both_versions_of_cgroups() {
    let v1 = [
        ("memory.limit_in_bytes", "67108864"),
        ("cpu.cfs_quota_us", "25000"),
        ("cpu.cfs_period_us", "100000"),
        ("pids.max", "32"),
    ];
    let v2 = [("memory.max", "67108864"), ("cpu.max", "25000 100000"), ("pids.max", "32")];
    for files in [&v1[..], &v2[..]] {
        check_limits(&found(files), 64 << 20, 250, 32).unwrap();
        assert!(check_limits(&found(files), 65 << 20, 250, 32).is_err());
        assert!(check_limits(&found(files), 64 << 20, 251, 32).is_err());
        assert!(check_limits(&found(files), 64 << 20, 250, 33).is_err());
        assert!(check_limits(&found(&files[1..]), 64 << 20, 250, 32).is_err());
    }
    assert!(check_limits(&found(&[("memory.max", "max")]), 64 << 20, 250, 32).is_err());
}

#[test]
fn readings_are_put_together_across_rotated_files_and_gaps_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let line = |second: u32, seq: u32| {
        format!("2026-01-01T00:00:{second:02}.000000000Z stdout F {{\"seq\":{seq}}}\n")
    };
    let older = line(1, 0) + &line(2, 1) + "2026-01-01T00:00:02.500000000Z stderr F hello\n";
    std::fs::write(folder.path().join("agent.log.1"), older).unwrap();
    let newer = line(3, 2) + "2026-01-01T00:00:04.0Z stdout F {\"seq\":3";
    std::fs::write(folder.path().join("agent.log"), newer).unwrap();
    let readings = readings(folder.path()).unwrap();
    assert_eq!(readings, [0, 1, 2]);
    check_gapless(&readings).unwrap();
    assert!(check_gapless(&[0, 2]).is_err());
    assert!(check_gapless(&[0, 1, 1]).is_err());
}

#[test]
fn a_process_is_told_from_a_later_one_with_its_number() {
    let own = Process::find(std::process::id()).unwrap();
    assert!(own.lives());
    assert!(!Process { began: own.began + 1, ..own }.lives());
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let process = Process::find(child.id()).unwrap();
    child.kill().unwrap();
    while process.lives() {
        std::thread::yield_now();
    }
    child.wait().unwrap();
    assert!(Process::find(child.id()).is_err());
}
