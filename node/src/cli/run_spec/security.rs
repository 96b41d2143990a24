//! Flags for what an agent may do to the machine, and for what it shares with it. Pure, but for the
//! file of a seccomp profile.

use std::fs::File;
use std::io::Read;

use clap::Args;
use skerry_core::agent::{
    AgentSpec, Device, NetworkMode, Permissions, Rlimit, Seccomp, SeccompProfile, Security,
};
use skerry_core::ids::PodName;

use super::{Usage, variable};

const HEADING: &str = "Security";
const SHARED: &str = "Network and namespaces";
/// No profile is as large.
const PROFILE_MAX: u64 = 1 << 20;

/// What it may do.
#[derive(Debug, Clone, Args)]
pub(super) struct SecurityArgs {
    /// Whom it runs as: numbers, or names of the image
    #[arg(short = 'u', long, value_name = "USER[:GROUP]", help_heading = HEADING)]
    user: Option<String>,
    /// Give it a capability, such as NET_RAW; it has none by default
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    cap_add: Vec<String>,
    /// Leave a capability out of those that are added
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    cap_drop: Vec<String>,
    /// As strong as root on the host, where the node's policy allows it
    #[arg(long, help_heading = HEADING)]
    privileged: bool,
    /// seccomp=unconfined, seccomp=FILE or no-new-privileges(:false)
    #[arg(long, value_name = "OPTION", help_heading = HEADING)]
    security_opt: Vec<String>,
    /// Give it a device of the host; PERMISSIONS of r, w and m, rw by default
    #[arg(long, value_name = "PATH[:TARGET][:PERMISSIONS]", value_parser = device)]
    #[arg(help_heading = HEADING)]
    device: Vec<Device>,
    /// A limit of its processes, such as nofile=1024:2048
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = ulimit, help_heading = HEADING)]
    ulimit: Vec<(String, Rlimit)>,
    /// A kernel parameter of its own namespaces
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable, help_heading = HEADING)]
    sysctl: Vec<(String, String)>,
    /// auto gives it user ids of its own; host does not (default)
    #[arg(long, value_name = "auto|host", value_parser = ["auto", "host"])]
    #[arg(hide_possible_values = true, help_heading = HEADING)]
    userns: Option<String>,
    /// none (default) has loopback alone; host is the machine's
    #[arg(long, value_name = "none|host", value_parser = network, help_heading = SHARED)]
    network: Option<NetworkMode>,
    /// Share network, IPC and host name with the other agents of this pod
    #[arg(long, value_name = "NAME", help_heading = SHARED)]
    pod: Option<PodName>,
    /// Its host name; its own name by default
    #[arg(long, value_name = "NAME", help_heading = SHARED)]
    hostname: Option<String>,
}

impl SecurityArgs {
    pub(super) fn put(self, spec: &mut AgentSpec) -> Result<(), Usage> {
        spec.user = self.user;
        spec.pod = self.pod;
        spec.hostname = self.hostname;
        spec.network.mode = self.network.unwrap_or_default();
        let security = &mut spec.security;
        security.capabilities.add = self.cap_add;
        security.capabilities.drop = self.cap_drop;
        security.privileged = self.privileged;
        security.devices = self.device;
        security.rlimits = self.ulimit.into_iter().collect();
        security.sysctls = self.sysctl.into_iter().collect();
        security.user_namespace = self.userns.as_deref() == Some("auto");
        self.security_opt.iter().try_for_each(|option| put_option(security, option))
    }
}

fn put_option(security: &mut Security, option: &str) -> Result<(), Usage> {
    match option.split_once(['=', ':']).unwrap_or((option, "true")) {
        ("no-new-privileges", "true") => security.no_new_privileges = Some(true),
        ("no-new-privileges", "false") => security.no_new_privileges = Some(false),
        ("seccomp", "unconfined") => security.seccomp = Seccomp::Unconfined,
        ("seccomp", file) => security.seccomp = Seccomp::Profile(Box::new(profile(file)?)),
        _ => {
            let known = "known are seccomp=unconfined, seccomp=FILE and no-new-privileges[:false]";
            return Err(Usage(format!("--security-opt {option} is unknown; {known}")));
        }
    }
    Ok(())
}

fn profile(file: &str) -> Result<SeccompProfile, Usage> {
    let fail = |why: &dyn std::fmt::Display| Usage(format!("--security-opt seccomp={file}: {why}"));
    let mut text = String::new();
    let opened = File::open(file).and_then(|f| f.take(PROFILE_MAX).read_to_string(&mut text));
    opened.map_err(|error| fail(&error))?;
    serde_json::from_slice(text.as_bytes()).map_err(|error| fail(&error))
}

fn network(text: &str) -> Result<NetworkMode, String> {
    match text {
        "none" => Ok(NetworkMode::None),
        "host" => Ok(NetworkMode::Host),
        "bridge" => Err("bridge does not exist yet; use none or host".to_owned()),
        _ => Err("none or host is expected".to_owned()),
    }
}

/// `/dev/a`, `/dev/a:/dev/b`, `/dev/a:rwm` or `/dev/a:/dev/b:r`.
fn device(text: &str) -> Result<Device, String> {
    let mut parts: Vec<_> = text.split(':').collect();
    let allowed = match parts.last() {
        Some(last) if parts.len() > 1 && !last.starts_with('/') => {
            Some(last.parse::<Permissions>()?)
        }
        _ => None,
    };
    if allowed.is_some() {
        parts.pop();
    }
    let target = match parts.as_slice() {
        [_] => None,
        [_, target] => Some((*target).to_owned()),
        _ => return Err("PATH[:TARGET][:PERMISSIONS] is expected".to_owned()),
    };
    let path = parts.first().copied().unwrap_or_default().to_owned();
    Ok(Device { path, target, permissions: allowed.unwrap_or_default() })
}

/// `nofile=1024:2048`, `core=-1`.
fn ulimit(text: &str) -> Result<(String, Rlimit), String> {
    let wrong = || "NAME=SOFT[:HARD] is expected, such as nofile=1024:2048".to_owned();
    let (name, limits) = text.split_once('=').ok_or_else(wrong)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        digits => digits.parse().map_err(|_| wrong()),
    };
    Ok((name.to_ascii_lowercase(), Rlimit { soft: number(soft)?, hard: number(hard)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_a_target_and_permissions_if_they_are_said() {
        let of = |text: &str| device(text).map(|d| (d.path, d.target, d.permissions.to_string()));
        let usual = || "rw".to_owned();
        assert_eq!(of("/dev/a").unwrap(), ("/dev/a".into(), None, usual()));
        assert_eq!(of("/dev/a:r").unwrap(), ("/dev/a".into(), None, "r".into()));
        let both = ("/dev/a".into(), Some("/dev/b".into()), "rwm".to_owned());
        assert_eq!(of("/dev/a:/dev/b:rwm").unwrap(), both);
        assert!(of("/dev/a:x").is_err() && of("/a:/b:/c").is_err());
    }

    #[test]
    fn limits_are_one_number_or_two() {
        assert_eq!(ulimit("nofile=5").unwrap(), ("nofile".into(), Rlimit { soft: 5, hard: 5 }));
        let none = Rlimit { soft: 1, hard: u64::MAX };
        assert_eq!(ulimit("CORE=1:-1").unwrap(), ("core".into(), none));
        assert!(ulimit("nofile").is_err() && ulimit("nofile=x").is_err());
    }

    #[test]
    fn options_are_docker_s_and_others_are_refused() {
        let mut security = Security::default();
        put_option(&mut security, "no-new-privileges:false").unwrap();
        put_option(&mut security, "seccomp=unconfined").unwrap();
        assert_eq!(security.no_new_privileges, Some(false));
        assert_eq!(security.seccomp, Seccomp::Unconfined);
        put_option(&mut security, "no-new-privileges").unwrap();
        assert_eq!(security.no_new_privileges, Some(true));
        assert!(put_option(&mut security, "apparmor=x").is_err());
        assert!(put_option(&mut security, "seccomp=/nosuch").is_err());
    }
}
