//! Judges control groups: the hierarchy, the place of agents' groups, each limit. Pure.

use skerry_runtime::cgroup::{Controller, Place, Version};

use super::super::{Facts, facts::Setting};
use super::{Verdict, errno, error, needs_root, ok, skipped, warning};

fn version_name(version: Version) -> &'static str {
    match version {
        Version::V1 => "version 1",
        Version::Hybrid => "version 1, with version 2 beside it (hybrid)",
        Version::V2 => "version 2",
    }
}

pub fn hierarchy(facts: &Facts, options: &[&str]) -> Verdict {
    match &facts.groups {
        Ok(place) => ok(version_name(place.version)),
        Err(trouble) if facts.options.of("CGROUPS") == Some(Setting::Off) => {
            error(trouble.clone(), facts.options.advice(options))
        }
        Err(trouble) => error(
            trouble.clone(),
            "mount -t cgroup2 none /sys/fs/cgroup, at every boot (systemd does; other systems have \
             a service for it)",
        ),
    }
}

/// The place, or why nothing is known of it.
fn found(facts: &Facts) -> Result<&Place, Verdict> {
    let unknown = || skipped("no control groups", "see 'cgroups' above");
    facts.groups.as_ref().map_err(|_| unknown())
}

pub fn place(facts: &Facts) -> Verdict {
    let place = match found(facts) {
        Ok(place) => place,
        Err(verdict) => return verdict,
    };
    let wanted = facts.cgroup.display();
    if let Some((at, number)) = &place.refused {
        if !facts.root {
            return needs_root("making control groups");
        }
        return error(
            format!("no group can be made in {}: {}", at.display(), errno(*number)),
            "mount the hierarchy writable here, or set 'cgroup' in the configuration to a group \
             that was delegated to the node",
        );
    }
    if let Some(crowded) = &place.crowded {
        return error(
            format!(
                "{} holds processes itself, and such a group can give no limits to those below it",
                crowded.display()
            ),
            "set 'cgroup' in the configuration to a group with no processes of its own, beside the \
             service's, or move those processes into a group below",
        );
    }
    ok(format!("groups can be made at {wanted}"))
}

/// One controller that a limit needs.
fn limit(facts: &Facts, controller: Controller, what: &str, next: &str) -> Verdict {
    match found(facts) {
        Err(verdict) => verdict,
        Ok(place) if place.has.contains(&controller) => ok("the controller is there"),
        Ok(_) => error(
            format!("no {controller} controller", controller = bare(controller))
                + &format!(": an agent with {what} is refused"),
            next,
        ),
    }
}

/// `memory` of `the memory`.
fn bare(controller: Controller) -> String {
    controller.to_string().trim_start_matches("the ").to_owned()
}

pub fn memory(facts: &Facts, options: &[&str]) -> Verdict {
    // On many ARM boards the controller is built in and switched off.
    let next = match facts.options.of("MEMCG") {
        Some(Setting::Off) => facts.options.advice(options),
        _ => "add cgroup_enable=memory to the kernel's command line (on a Raspberry Pi: \
              cmdline.txt in the boot partition), and boot"
            .to_owned(),
    };
    limit(facts, Controller::Memory, "a memory limit", &next)
}

pub fn swap(facts: &Facts) -> Verdict {
    match found(facts) {
        Err(verdict) => verdict,
        Ok(_) if !facts.swap => ok("there is no swap"),
        Ok(place) => match place.swap {
            Some(true) => ok("limited with memory"),
            Some(false) => warning(
                "there is swap, and this kernel does not count it: an agent at its memory limit \
                 wears the swap device instead of being ended",
                "boot with swapaccount=1, or switch swap off",
            ),
            None => skipped("shows only when the first agent has a limit", "check again then"),
        },
    }
}

pub fn cpu(facts: &Facts, options: &[&str]) -> Verdict {
    let next = facts.options.advice(options);
    let verdict = limit(facts, Controller::Cpu, "a processor limit", &next);
    let quota = facts.groups.as_ref().ok().and_then(|place| place.quota);
    let left_out = facts.options.of("CFS_BANDWIDTH") == Some(Setting::Off);
    if quota == Some(false) || quota.is_none() && left_out && facts.groups.is_ok() {
        return error(
            "the controller has no quota: an agent with a processor limit is refused",
            facts.options.advice(&["CFS_BANDWIDTH"]),
        );
    }
    verdict
}

pub fn pids(facts: &Facts, options: &[&str]) -> Verdict {
    limit(facts, Controller::Pids, "a limit on processes", &facts.options.advice(options))
}

pub fn devices(facts: &Facts) -> Verdict {
    let place = match found(facts) {
        Ok(place) => place,
        Err(verdict) => return verdict,
    };
    if place.refused.is_some() {
        return if facts.root {
            skipped("not tried, since no group can be made", "see 'cgroup-place' above")
        } else {
            needs_root("device rules")
        };
    }
    let options: &[&str] = match place.version {
        Version::V2 => &["BPF_SYSCALL", "CGROUP_BPF"],
        Version::V1 | Version::Hybrid => &["CGROUP_DEVICE"],
    };
    let means = "agents run, but what devices they open is not limited by the kernel (they have no \
                 capability to make device files, and /dev holds the standard ones alone)";
    match place.devices {
        Ok(true) => ok("can be put in force"),
        Ok(false) => warning(means, facts.options.advice(options)),
        Err(number) => error(
            format!("the kernel refuses device rules: {}; no agent starts", errno(number)),
            facts.options.advice(options),
        ),
    }
}
