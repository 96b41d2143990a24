//! Judges the kernel, the rights of this process, and what the machine itself brings. Pure.

use skerry_runtime::needs::{Need, Tried};

use super::super::{Facts, facts::Setting};
use super::{Verdict, errno, error, list, needs_root, ok, skipped, warning};

/// libcontainer mounts with `mount_setattr`, which came with this version.
const NEEDED: (u32, u32) = (5, 12);
/// Below this, groups are ended by freezing and killing one by one.
const KILLS_GROUPS: (u32, u32) = (5, 14);
/// The node watches a folder for each agent and two more.
const WATCHES_MIN: u64 = 128;
/// The node uses one, each `skerry logs -f` one more.
const INSTANCES_MIN: u64 = 16;
/// The kernel knows no such file system.
const ENODEV: i32 = 19;
/// Beyond the floor by so much, a clock is not believed to be right: 12 years, in seconds.
const FUTURE_MAX: i64 = 12 * 365 * 86_400;

pub fn user(facts: &Facts) -> Verdict {
    let missing = &facts.capabilities_missing;
    if !facts.root {
        return skipped(
            "not root: some checks below could not look at everything",
            "sudo skerry check",
        );
    }
    if missing.is_empty() {
        return ok("root, with every capability that a node needs");
    }
    error(
        format!("root, but without {}", list(missing)),
        "give the surrounding container or service these capabilities; the service unit of the \
         packages does",
    )
}

/// The first two numbers of a release.
fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub fn version(facts: &Facts) -> Verdict {
    let release = &facts.release;
    let Some(found) = numbers(release) else {
        return skipped(format!("'{release}' names no version"), "see what other checks say");
    };
    let (major, minor) = NEEDED;
    if found >= NEEDED {
        let note = if found < KILLS_GROUPS {
            "; 5.14 and later end an agent's processes in one step, here they are frozen first"
        } else {
            ""
        };
        return ok(format!("{release}; {major}.{minor} is the least{note}"));
    }
    let says = format!("{release} is older than {major}.{minor}");
    match facts.trial.of_need(Need::MountCalls) {
        Tried::Works => warning(
            format!("{says}, though its mount calls work"),
            "nobody tests such kernels with Skerry: try your agents, or take a newer kernel",
        ),
        _ => error(
            format!("{says}: agents' file systems cannot be mounted (mount_setattr is missing)"),
            "take a kernel of a long-term line: 5.15, 6.1, 6.6 or later",
        ),
    }
}

/// Of several needs, those that were refused, and whether some were not tried.
fn failed(facts: &Facts, needs: &[(Need, &'static str)]) -> (Vec<(&'static str, i32)>, bool) {
    let mut refused = Vec::new();
    let mut untried = false;
    for (need, name) in needs {
        match facts.trial.of_need(*need) {
            Tried::Refused(number) => refused.push((*name, number)),
            Tried::Not => untried = true,
            Tried::Works | Tried::NoFilter => {}
        }
    }
    (refused, untried)
}

fn told(refused: &[(&str, i32)]) -> String {
    let each = refused.iter().map(|(name, number)| format!("{name} ({})", errno(*number)));
    each.collect::<Vec<_>>().join(", ")
}

fn not_tried() -> Verdict {
    skipped("not tried, since what it builds on failed", "see the checks above")
}

pub fn calls(facts: &Facts) -> Verdict {
    let optional = facts.trial.of_need(Need::Openat2);
    let needed = [
        (Need::Clone3, "clone3"),
        (Need::Pidfd, "pidfd_open"),
        (Need::Epoll, "epoll"),
        (Need::Eventfd, "eventfd"),
        (Need::Signalfd, "signalfd"),
        (Need::Inotify, "inotify"),
        (Need::UnixSockets, "Unix sockets"),
    ];
    let (refused, _) = failed(facts, &needed);
    if !refused.is_empty() {
        let names: Vec<_> = refused.iter().map(|(name, _)| *name).collect();
        let options: Vec<_> = [
            ("epoll", "EPOLL"),
            ("eventfd", "EVENTFD"),
            ("signalfd", "SIGNALFD"),
            ("inotify", "INOTIFY_USER"),
            ("Unix sockets", "UNIX"),
        ]
        .into_iter()
        .filter(|(name, _)| names.contains(name))
        .map(|(_, option)| option)
        .collect();
        let next = if options.is_empty() {
            "use a kernel of 5.12 or later, outside containers and emulators that filter calls"
                .to_owned()
        } else {
            facts.options.advice(&options)
        };
        return error(format!("the kernel refuses {}", told(&refused)), next);
    }
    match optional {
        Tried::Refused(number) => warning(
            format!(
                "openat2 is missing ({}): images with links in paths are refused",
                errno(number)
            ),
            "use a kernel of 5.6 or later that does not filter it",
        ),
        _ => ok("all there"),
    }
}

pub fn namespaces(facts: &Facts) -> Verdict {
    let needed = [
        (Need::NamespaceUts, "uts"),
        (Need::NamespaceIpc, "ipc"),
        (Need::NamespaceNet, "net"),
        (Need::NamespacePid, "pid"),
        (Need::NamespaceMount, "mnt"),
        (Need::NamespaceCgroup, "cgroup"),
    ];
    let (refused, untried) = failed(facts, &needed);
    if !facts.root {
        return needs_root("making namespaces");
    }
    if untried {
        return not_tried();
    }
    if refused.is_empty() {
        return ok("mnt, pid, uts, ipc, net, cgroup: made");
    }
    let options: Vec<_> =
        [("uts", "UTS_NS"), ("ipc", "IPC_NS"), ("net", "NET_NS"), ("pid", "PID_NS")]
            .into_iter()
            .filter(|(kind, _)| refused.iter().any(|(name, _)| name == kind))
            .map(|(_, option)| option)
            .collect();
    let options = if options.is_empty() { vec!["NAMESPACES", "CGROUPS"] } else { options };
    error(
        format!("no namespace of these kinds can be made, so no agent starts: {}", told(&refused)),
        facts.options.advice(&options),
    )
}

pub fn loopback(facts: &Facts, options: &[&str]) -> Verdict {
    match facts.trial.of_need(Need::Loopback) {
        _ if !facts.root => needs_root("an agent's loopback interface"),
        Tried::Refused(number) => error(
            format!("lo cannot be brought up in a new network ({})", errno(number)),
            facts.options.advice(options),
        ),
        Tried::Not => not_tried(),
        Tried::Works | Tried::NoFilter => ok("comes up in a new network"),
    }
}

pub fn mounts(facts: &Facts) -> Verdict {
    let kinds = [
        (Need::Proc, "proc"),
        (Need::Sysfs, "sysfs"),
        (Need::Tmpfs, "tmpfs"),
        (Need::Devpts, "devpts"),
        (Need::Mqueue, "mqueue"),
    ];
    let (refused, untried) = failed(facts, &kinds);
    if !facts.root {
        return needs_root("mounting");
    }
    if let Tried::Refused(number) = facts.trial.of_need(Need::MountCalls) {
        return error(
            format!("fsopen, mount_setattr and move_mount do not work ({})", errno(number)),
            "use a kernel of 5.12 or later, outside containers that filter system calls",
        );
    }
    if !refused.is_empty() {
        let options = [
            ("proc", "PROC_FS"),
            ("sysfs", "SYSFS"),
            ("tmpfs", "TMPFS"),
            ("devpts", "UNIX98_PTYS"),
            ("mqueue", "POSIX_MQUEUE"),
        ];
        let options = options.into_iter().filter(|(kind, _)| refused.iter().any(|r| r.0 == *kind));
        let options: Vec<_> = options.map(|(_, option)| option).collect();
        return error(
            format!("agents cannot be given {}", told(&refused)),
            facts.options.advice(&options),
        );
    }
    if untried {
        return not_tried();
    }
    ok("proc, sysfs, tmpfs, devpts, mqueue: mounted as for an agent")
}

pub fn overlay(facts: &Facts, options: &[&str]) -> Verdict {
    let kind = &facts.state.kind;
    match facts.trial.of_need(Need::Overlay) {
        _ if !facts.root => needs_root("mounting"),
        Tried::Works | Tried::NoFilter => ok(format!("mounted, with layers on {kind}")),
        Tried::Not => not_tried(),
        Tried::Refused(number) => {
            let says = format!("no root for agents: overlay on {kind}: {}", errno(number));
            // All else is about the layers' place.
            if number == ENODEV || facts.options.of("OVERLAY_FS") == Some(Setting::Off) {
                let advice = facts.options.advice(options);
                return error(
                    says,
                    format!("modprobe overlay; if there is no such module: {advice}"),
                );
            }
            let state = facts.state.path.display();
            error(says, format!("put {state} on ext4, or another file system that overlayfs takes"))
        }
    }
}

pub fn pivot_root(facts: &Facts) -> Verdict {
    match facts.trial.of_need(Need::PivotRoot) {
        _ if !facts.root => needs_root("leaving the root"),
        Tried::Works | Tried::NoFilter => ok("works"),
        Tried::Not => not_tried(),
        Tried::Refused(number) => error(
            format!("pivot_root: {}", errno(number)),
            "the machine's root is the initial RAM file system itself, most likely: switch to a \
             real one first (switch_root), be it a tmpfs",
        ),
    }
}

pub fn seccomp(facts: &Facts, options: &[&str]) -> Verdict {
    match facts.trial.of_need(Need::Seccomp) {
        Tried::Works => ok("the agents' filter is accepted"),
        Tried::NoFilter => error(
            "this program has no filter for this processor, and starts no agent without one",
            "use an x86_64, aarch64 or riscv64 system",
        ),
        Tried::Refused(number) => error(
            format!("the agents' filter is refused ({}), so no agent starts", errno(number)),
            facts.options.advice(options),
        ),
        Tried::Not => not_tried(),
    }
}

pub fn inotify(facts: &Facts) -> Verdict {
    let limits = [
        (facts.inotify_instances, INSTANCES_MIN, "max_user_instances"),
        (facts.inotify_watches, WATCHES_MIN, "max_user_watches"),
    ];
    let low: Vec<_> = limits
        .iter()
        .filter_map(|(found, least, name)| Some((found.filter(|f| f < least)?, least, name)))
        .collect();
    if let Some((found, least, name)) = low.first() {
        return warning(
            format!("fs.inotify.{name} is {found}: little for a node and its agents"),
            format!("sysctl -w fs.inotify.{name}={least}, and keep it in /etc/sysctl.d"),
        );
    }
    match (facts.inotify_instances, facts.inotify_watches) {
        (Some(instances), Some(watches)) => ok(format!("{instances} instances, {watches} watches")),
        _ => skipped("/proc/sys/fs/inotify cannot be read", "mount /proc"),
    }
}

/// The node has one or two descriptors for each agent, and some for itself.
const DESCRIPTORS_MIN: u64 = 4096;

pub fn open_files(facts: &Facts) -> Verdict {
    match facts.descriptors {
        Some(limit) if limit < DESCRIPTORS_MIN => warning(
            format!("a process may have {limit} files open: enough for {} agents", limit / 4),
            "raise the hard limit (systemd: LimitNOFILE; ulimit -Hn)",
        ),
        Some(limit) => ok(format!("{limit} for a process")),
        None => ok("no limit"),
    }
}

pub fn entropy(facts: &Facts) -> Verdict {
    match facts.entropy {
        Some(true) => ok("random numbers are at hand"),
        Some(false) => warning(
            "the kernel has not gathered enough randomness yet: a first start waits for it",
            "wait, or give the machine a source: a hardware generator's driver, or virtio-rng",
        ),
        None => skipped("the kernel does not say", "use a kernel with getrandom (3.17)"),
    }
}

pub fn clock(facts: &Facts) -> Verdict {
    let (now, floor) = (facts.now, facts.floor);
    let now = now.round(jiff::Unit::Second).unwrap_or(now);
    if now < floor {
        return warning(
            format!(
                "the clock shows {now}, before this version was made: signatures and versions are \
                 judged all the same, but that an instruction is current cannot be proven, and \
                 mqtts:// may refuse the broker's certificate"
            ),
            "let NTP set the clock, or give the board a real-time clock with a battery",
        );
    }
    if now.as_second() - floor.as_second() > FUTURE_MAX {
        return warning(
            format!(
                "the clock shows {now}, more than twelve years after this version was made: signed \
                 instructions will count as expired, and so will certificates"
            ),
            "set the clock; agents that run are not touched by it",
        );
    }
    ok(format!("{now}"))
}

pub fn watchdog(facts: &Facts) -> Verdict {
    if facts.watchdogs.is_empty() {
        return warning(
            "no hardware watchdog: a kernel that hangs stays so until somebody cuts the power",
            "enable the driver of the board's watchdog, and let the init feed it (systemd: \
             RuntimeWatchdogSec)",
        );
    }
    ok(facts.watchdogs.join(", "))
}
