//! Output: whole, in order, bounded.

use crate::rig::Rig;

#[test]
fn no_line_is_lost_and_the_order_is_kept() {
    let mut rig = Rig::script("seq 1 20000; echo -n last");
    rig.launch.log.max_bytes = 64 << 20;
    let exit = rig.run();
    let mut wanted: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
    wanted.push_str("last\n");
    assert_eq!(rig.output(), wanted);
    let size = std::fs::metadata(rig.launch.log.dir.join("agent.log")).unwrap().len();
    assert_eq!((exit.log_bytes, exit.log_bytes_lost), (size, 0));
}

#[test]
fn files_are_rotated_and_bounded_and_the_newest_lines_stay() {
    let mut rig = Rig::script("seq 1 20000");
    rig.launch.log.max_bytes = 100_000;
    rig.launch.log.files = 3;
    rig.run();
    let mut names: Vec<_> = std::fs::read_dir(&rig.launch.log.dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["agent.log", "agent.log.1", "agent.log.2"]);
    for name in names {
        let size = std::fs::metadata(rig.launch.log.dir.join(&name)).unwrap().len();
        assert!(size <= 100_000, "{name} has {size} bytes");
    }
    let output = rig.output();
    let first: u32 = output.lines().next().unwrap().parse().unwrap();
    let wanted: String = (first..=20_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(output, wanted);
}

#[test]
fn a_line_without_end_is_cut_into_parts() {
    let mut rig = Rig::script("head -c 40000 /dev/zero; echo; echo after");
    rig.run();
    let text = std::fs::read_to_string(rig.launch.log.dir.join("agent.log")).unwrap();
    let tags: Vec<&str> = text.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(tags, ["P", "P", "F", "F"]);
    assert!(text.ends_with("stdout F after\n"));
}

#[test]
fn a_log_folder_that_cannot_be_used_stops_no_agent() {
    let mut rig = Rig::script("echo lost; exit 4");
    let file = rig.folder().join("a-file");
    std::fs::write(&file, "").unwrap();
    rig.launch.log.dir = file.join("log");
    let exit = rig.run();
    assert_eq!(exit.code, Some(4));
    assert_eq!(exit.log_bytes, 0);
    assert!(exit.log_bytes_lost > 0);
}

#[test]
fn a_second_run_goes_on_in_the_same_log() {
    let mut rig = Rig::script("echo again");
    rig.run();
    assert!(
        crate::rig::wait_for(|| skerry_runtime::clean(&rig.run_dir()).is_empty().then_some(()))
            .is_some()
    );
    rig.run();
    assert_eq!(rig.output(), "again\nagain\n");
}

#[test]
fn output_above_its_rate_is_dropped_counted_and_told() {
    let mut rig = Rig::script("seq 1 100000; echo last");
    rig.launch.log.rate_limit = Some(1000);
    let exit = rig.run();
    let output = rig.output();
    let kept: Vec<&str> = output.lines().filter(|line| !line.starts_with('…')).collect();
    let told: Vec<u64> = rig
        .log()
        .iter()
        .filter_map(|(_, text)| text.strip_prefix("… "))
        .map(|line| line.strip_suffix(" bytes dropped by the rate limit").unwrap().parse().unwrap())
        .collect();
    let kept_bytes: usize = kept.iter().map(|line| line.len() + 1).sum();
    // Ten seconds' worth at once, and what the time that it took has added.
    assert!((10_000..20_000).contains(&kept_bytes), "{kept_bytes} bytes kept");
    assert_eq!(told.iter().sum::<u64>(), exit.log_bytes_dropped);
    let all: usize = (1..=100_000).map(|number: u32| number.to_string().len() + 1).sum();
    assert_eq!(kept_bytes as u64 + exit.log_bytes_dropped, all as u64 + 5);
    assert!(told.len() <= 2, "{told:?}");
}

#[test]
fn a_line_of_json_stays_whole() {
    let mut rig = Rig::script(
        "printf '{\"text\":\"'; head -c 100000 /dev/zero | while read -r x; do :; done; \
         yes x | head -n 60000 | while IFS= read -r l; do printf %s \"$l\"; done; echo '\"}'; echo after",
    );
    rig.run();
    let text = std::fs::read_to_string(rig.launch.log.dir.join("agent.log")).unwrap();
    let tags: Vec<&str> = text.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(tags, ["F", "F"]);
    let output = rig.output();
    let value: serde_json::Value = serde_json::from_str(output.lines().next().unwrap()).unwrap();
    assert_eq!(value["text"].as_str().unwrap().len(), 60_000);
}

#[test]
fn a_log_torn_by_a_power_cut_is_mended_and_gone_on_with() {
    let line = "2026-01-01T00:00:00.000000000Z stdout F ";
    let zeroes = "\0".repeat(10_000);
    for (torn, wanted) in [
        (format!("{line}whole\n{line}ha"), "whole\nha\nagain\n"),
        (format!("{line}whole\n{zeroes}"), "whole\nagain\n"),
        (format!("{line}whole\n{line}ha{zeroes}"), "whole\nha\nagain\n"),
        (zeroes.clone(), "again\n"),
        (String::new(), "again\n"),
    ] {
        let mut rig = Rig::script("echo again");
        std::fs::create_dir_all(&rig.launch.log.dir).unwrap();
        std::fs::write(rig.launch.log.dir.join("agent.log"), torn).unwrap();
        rig.run();
        assert_eq!(rig.output(), wanted);
        let text = std::fs::read(rig.launch.log.dir.join("agent.log")).unwrap();
        assert!(!text.contains(&0));
    }
}
