//! A clock that is wrong: agents never depend on it, and documents as little as can be proved.

use skerry_tests::machine::Arch;
use skerry_tests::{Machine, Mosquitto};

use super::Around;

/// What the guest's clock shows.
fn year(machine: &Machine) -> u32 {
    machine.sh("date -u +%Y").ok().stdout.trim().parse().expect("a year")
}

/// Sets the guest's clock right, as a time server would in the middle of its work.
fn set_right(machine: &Machine) {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs();
    let _ = machine.sh(&format!("date -u -s @{now}")).ok();
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn in_1970_agents_run_documents_are_taken_and_setting_the_clock_touches_nothing() {
    let around = Around::new(Arch::X86_64);
    let machine = around.join(around.setup().clock("1970-01-01T00:00:01"));
    assert_eq!(year(&machine), 1970);
    let pids = around.roll_out(&machine, &["one", "two"]);
    let _ =
        around.row_when("the report of 1970", |row| row["document"] == 1 && row["running"] == 2);

    // The same again after a cut: the document and its agents are in the state of a device whose
    // clock begins anew at every boot.
    let mut machine = machine;
    machine.boot();
    assert_eq!(year(&machine), 1970);
    let again = [machine.until_running("one"), machine.until_running("two")];
    machine.until_connected();

    set_right(&machine);
    let _ = around.roll_out(&machine, &["one", "two", "three"]);
    assert_eq!([machine.until_running("one"), machine.until_running("two")], again);
    machine.until_connected();
    let _ = pids;
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn in_2040_agents_run_a_document_is_refused_as_expired_and_taken_once_the_clock_is_right() {
    let around = Around::new(Arch::X86_64);
    let machine = around.join(around.setup());
    let _ = around.roll_out(&machine, &["one"]);

    let mut machine = machine.changed(|setup| setup.clock("2040-01-01T00:00:00"));
    machine.boot();
    assert_eq!(year(&machine), 2040);
    let pid = machine.until_running("one");
    machine.until_connected();
    let _ = around.publish(&["one", "two"]);
    let reason = machine.until("the document is refused", |machine| {
        let status = machine.status();
        let last = status["refused"].as_array()?.last()?;
        last["reason"].as_str().map(str::to_owned)
    });
    assert!(reason.contains("expired"), "{reason}");
    assert_eq!(machine.status()["document"]["version"], 1, "the one in force stays");
    assert_eq!(machine.until_running("one"), pid);

    // Nothing of 2040 is remembered: no restart is needed, only a right clock and the same document
    // again.
    set_right(&machine);
    send_again(&around.broker);
    machine.until_document(2);
    let _ = machine.until_running("two");
    assert_eq!(machine.until_running("one"), pid, "the clock's jump restarts nothing");
}

/// Publishes what is kept once more.
fn send_again(broker: &Mosquitto) {
    let topic = "skerry/v1/default/box/desired";
    let kept = broker.retained(topic).expect("the document is kept");
    broker.retain(topic, kept.trim_end().as_bytes());
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn a_clock_that_jumps_years_both_ways_under_a_running_node_holds_up_nothing() {
    let around = Around::new(Arch::X86_64);
    let machine = around.join(around.setup());
    let pids = around.roll_out(&machine, &["one", "two"]);
    // A job by the second, an agent that ends and comes again, and one with a check.
    let agents = "agents:\n\
         - {name: tick, image: sensor, job: {schedule: '@every 5s'}, command: [/sensor], args: [--version]}\n\
         - {name: fails, image: sensor, args: [--nonsense], restartBackoff: {initial: 1s, max: 2s}}\n\
         - {name: checked, image: sensor, healthCheck: {command: [/sensor, --nonsense], interval: 2s, \
         retries: 1000, onUnhealthy: report}}\n";
    let write = format!("cat >/run/wild.yaml <<'END'\n{agents}END");
    let _ = machine.sh(&write).ok();
    let _ = machine.cli(["apply", "-f", "/run/wild.yaml"]);
    let restarts = |machine: &Machine| agent(machine, "fails")["restarts"].as_u64().unwrap_or(0);
    let runs = |machine: &Machine| {
        let run = agent(machine, "tick")["execution"].as_str().map(str::to_owned);
        run.unwrap_or_default()
    };
    let goes_on = |machine: &Machine, when: &str| {
        let (failed, run) = (restarts(machine), runs(machine));
        machine.until(&format!("restarts and jobs go on {when}"), |machine| {
            (restarts(machine) >= failed + 2 && runs(machine) != run).then_some(())
        });
        let alive = [machine.until_running("one"), machine.until_running("two")];
        assert_eq!(alive.as_slice(), pids.as_slice(), "nothing is restarted {when}");
    };
    goes_on(&machine, "before any jump");
    for year in ["2040", "1980", "2031", "2026"] {
        let _ = machine.sh(&format!("date -u -s '{year}-06-15 12:00:00'")).ok();
        goes_on(&machine, &format!("in {year}"));
    }
    machine.until_connected();
}

/// What `ps -a` says of an agent on a device.
fn agent(machine: &Machine, name: &str) -> serde_json::Value {
    let list = machine.cli(["ps", "-a", "--format", "json"]).ok().stdout;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap_or_default();
    let agents = list.as_array().into_iter().flatten();
    let found = agents.filter(|agent| agent["name"].as_str() == Some(name));
    found.cloned().next().unwrap_or_default()
}
