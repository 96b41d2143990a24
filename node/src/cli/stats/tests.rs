use super::*;

fn reading(cpu_usec: u64) -> StatsList {
    let stats = AgentStats {
        memory_bytes: Some(16 << 20),
        memory_limit_bytes: Some(64 << 20),
        cpu_usec: Some(cpu_usec),
        pids: Some(3),
        pids_limit: Some(32),
        oom_kills: Some(0),
        throttled_usec: Some(cpu_usec / 4),
        read_bytes: Some(2048),
        written_bytes: None,
    };
    StatsList { agents: [("cam".parse().unwrap(), stats)].into() }
}

#[test]
fn the_share_is_of_one_core_between_two_readings() {
    let passed = Duration::from_secs(2);
    let now = entries(&reading(1_000_000), reading(1_250_000), passed, &[]);
    assert_eq!(now[0].cpu_percent, Some(12.5));
    // Started anew in between: no figure rather than a wrong one.
    let now = entries(&reading(1_000_000), reading(5), passed, &[]);
    assert_eq!(now[0].cpu_percent, None);
    let now = entries(&StatsList::default(), reading(5), passed, &[]);
    assert_eq!(now[0].cpu_percent, None);
}

#[test]
fn the_table_shows_use_and_limit() {
    let entries = entries(&reading(0), reading(1_000_000), Duration::from_secs(1), &[]);
    assert_eq!(
        table::table(&HEADERS, &rows(&entries)),
        "NAME  CPU     THROTTLED  MEMORY         LIMIT    READ    WRITTEN  PIDS    OOM KILLS\n\
         cam   100.0%  25.0%      16.0MiB (25%)  64.0MiB  2.0KiB  -        3 / 32  0"
    );
}

#[test]
fn only_the_named_ones_are_shown() {
    let other = ["other".parse().unwrap()];
    assert!(entries(&reading(0), reading(1), Duration::from_secs(1), &other).is_empty());
}

#[test]
fn json_is_flat_and_camel_case() {
    let entries = entries(&reading(0), reading(10_000), Duration::from_secs(1), &[]);
    let json = serde_json::to_value(&entries).unwrap();
    assert_eq!(json[0]["cpuPercent"], 1.0);
    assert_eq!(json[0]["memoryBytes"], 16 << 20);
}
