//! No network: agents run, whether the device never had one or lost it.

use skerry_tests::machine::Arch;

use super::{Around, until_offline};

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn agents_run_with_no_network_device_and_before_any_socket_to_the_broker() {
    let around = Around::new(Arch::X86_64);
    let machine = around.join(around.setup());
    let _ = around.roll_out(&machine, &["one", "two"]);

    // The broker's name needs a resolver, which is not there either.
    let mut machine = machine
        .changed(|setup| setup.set("broker.url", "mqtt://broker.invalid:1883").network(false));
    machine.boot();
    let _ = machine.until_running("one");
    let _ = machine.until_running("two");
    until_offline(&machine);
    let status = machine.status();
    assert_eq!(status["document"]["version"], 1, "{status}");
    assert!(status["storeNotice"].is_null(), "{status}");
    // Not of UDP: a C library that looks for a resolver asks itself.
    let sockets = machine.sh("grep -c : /proc/net/tcp").stdout;
    assert_eq!(sockets.trim(), "0", "nobody listens, nobody is connected");
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn a_pulled_cable_or_a_lost_broker_stops_no_agent_and_what_was_missed_comes_later() {
    let mut around = Around::new(Arch::X86_64);
    let machine = around.join(around.setup().set("broker.keep_alive", "5s"));
    let pids = around.roll_out(&machine, &["one"]);

    machine.link(false);
    let missed = around.publish(&["one", "two"]);
    until_offline(&machine);
    assert_eq!(machine.until_running("one"), pids[0]);
    assert_eq!(machine.status()["document"]["version"], 1, "nothing reached it");
    machine.link(true);
    machine.until_document(missed);
    let _ = machine.until_running("two");
    assert_eq!(machine.until_running("one"), pids[0], "what is as it should be is untouched");

    around.broker.save();
    around.broker.kill9();
    until_offline(&machine);
    assert_eq!(machine.until_running("one"), pids[0]);
    around.broker.restart();
    machine.until_connected();
    let _ = around.row_when("the report of the missed document", |row| {
        row["document"] == missed && row["running"] == 2
    });
    let _ = around.roll_out(&machine, &["one", "two", "three"]);
    assert_eq!(machine.until_running("one"), pids[0]);
}
