//! The network: which interfaces are ours to set up, and the commands that do it.
//!
//! Nothing waits for it. Interfaces that agents bring (virtual ones) are none of ours; radio is left to
//! whoever brings its keys. Addresses are set by one script of the image, `/usr/lib/skerry/lease`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::device::Network;

/// The script that sets what a lease, or a person, says.
const SCRIPT: &str = "/usr/lib/skerry/lease";
/// Everything of busybox is called by its own name.
pub const BUSYBOX: &str = "/bin/busybox";

/// Whether it is a wired interface of a real (or emulated) card.
pub fn is_wired(sys: &Path, interface: &str) -> bool {
    let place = sys.join("class/net").join(interface);
    let ethernet = fs::read_to_string(place.join("type")).is_ok_and(|kind| kind.trim() == "1");
    ethernet && place.join("device").exists() && !place.join("phy80211").exists()
}

/// The wired interfaces that are there, in order.
pub fn wired(sys: &Path) -> Vec<String> {
    let entries = fs::read_dir(sys.join("class/net")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_wired(sys, name)).collect();
    names.sort();
    names
}

/// Brings up the loopback.
pub fn loopback() -> Command {
    busybox(&["ip", "link", "set", "lo", "up"])
}

/// Asks for a lease, for ever, and keeps it.
pub fn lease(interface: &str, hostname: &str) -> Command {
    let mut command = busybox(&["udhcpc", "-f", "-i", interface, "-s", SCRIPT]);
    // Four requests two seconds apart, then a pause of ten, and so on.
    command.args(["-t", "4", "-T", "2", "-A", "10", "-x", &format!("hostname:{hostname}")]);
    command
}

/// Sets a fixed address.
pub fn fixed(interface: &str, network: &Network) -> Option<Command> {
    let address = network.address.as_deref()?;
    let mut command = Command::new(SCRIPT);
    command.arg("fixed").env("interface", interface).env("address", address);
    command.env("router", network.gateway.as_deref().unwrap_or_default());
    command.env("dns", network.dns.join(" "));
    Some(command)
}

/// Whether a fixed address is meant for this interface, which is the `nth` that came.
pub fn is_fixed(interface: &str, nth: usize, network: &Network) -> bool {
    network.address.is_some()
        && network.interface.as_deref().map_or(nth == 0, |own| own == interface)
}

/// Asks time servers.
pub fn time(servers: &[String]) -> Command {
    let mut command = busybox(&["ntpd", "-n"]);
    command.args(servers.iter().flat_map(|server| ["-p", server]));
    command
}

/// A root shell on a terminal, without a login.
pub fn shell(terminal: &str) -> Command {
    busybox(&["getty", "-n", "-L", "-i", "-l", "/bin/sh", "0", terminal, "vt100"])
}

fn busybox(args: &[&str]) -> Command {
    let mut command = Command::new(BUSYBOX);
    command.args(args);
    command
}

#[cfg(test)]
#[path = "network/tests.rs"]
mod tests;
