//! What a program may do: user and groups, capabilities, resource limits, and the filter.
//!
//! Taken on by the container's first process and by programs beside it alike, in one order: limits
//! of resources, which may need rights to set; user and capabilities; last, just before the program,
//! the filter. It never keeps more than the launch says.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities,
};

use crate::launch::{Launch, Rlimit, User};
use crate::seccomp::{Filter, SeccompError};

/// Why a program does not get what it may do.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// A capability is unknown.
    #[error("there is no capability '{name}'")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The node has not what it should hand on.
    #[error("capability {names} cannot be given, as the node itself lacks it")]
    Lacking {
        /// The names.
        names: String,
    },
    /// A limit of a resource.
    #[error("cannot set rlimit {name}; above the node's own {had} it takes CAP_SYS_RESOURCE")]
    Rlimit {
        /// Its name.
        name: String,
        /// The hard limit in force.
        had: String,
        /// Why not.
        source: io::Error,
    },
    /// The filter.
    #[error(transparent)]
    Filter(#[from] SeccompError),
    /// The kernel refused.
    #[error("cannot {operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        source: io::Error,
    },
}

fn system<E: Into<io::Error>>(operation: &'static str) -> impl FnOnce(E) -> PrivilegeError {
    move |source| PrivilegeError::System { operation, source: source.into() }
}

/// What a program may do.
#[derive(Debug, Clone)]
pub struct Privileges {
    user: User,
    /// `None` is all there are.
    keep: Option<CapabilitySet>,
    rlimits: Vec<(String, Resource, Rlimit)>,
    filter: Filter,
    no_new_privileges: bool,
}

impl Privileges {
    /// Those of an agent.
    ///
    /// # Errors
    /// A capability is unknown, or there is no such filter.
    pub fn of(launch: &Launch) -> Result<Self, PrivilegeError> {
        let rlimits = launch.rlimits.iter();
        let rlimits = rlimits.filter_map(|(name, limit)| {
            resource(name).map(|resource| (name.clone(), resource, *limit))
        });
        let filter = Filter::new(launch.filter(), &launch.capabilities)?;
        if !launch.no_new_privileges {
            filter.check_without_promise()?;
        }
        Ok(Self {
            user: launch.user.clone(),
            keep: if launch.privileged {
                None
            } else {
                Some(capability_set(&launch.capabilities)?)
            },
            rlimits: rlimits.collect(),
            filter,
            no_new_privileges: launch.no_new_privileges,
        })
    }

    /// The same for another user.
    pub fn with_user(self, user: Option<&User>) -> Self {
        let user = user.cloned().unwrap_or_else(|| self.user.clone());
        Self { user, ..self }
    }

    /// Takes on limits, groups, user and capabilities. What is left to do is [`Self::seal`].
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn take_on(&self) -> Result<(), PrivilegeError> {
        for (name, resource, limit) in &self.rlimits {
            let wanted = rustix::process::Rlimit { current: limit.soft, maximum: limit.hard };
            setrlimit(*resource, wanted).map_err(|errno| {
                let had = getrlimit(*resource).maximum;
                let had = had.map_or_else(|| "unlimited".to_owned(), |had| had.to_string());
                PrivilegeError::Rlimit { name: name.clone(), had, source: errno.into() }
            })?;
        }
        if self.no_new_privileges {
            let promise = rustix::thread::set_no_new_privs(true);
            promise.map_err(system("renounce new privileges"))?;
        }
        let have = capabilities(None).map_err(system("look at capabilities"))?.permitted;
        let keep = self.keep.unwrap_or(have);
        let lacking = keep - have;
        if !lacking.is_empty() {
            let names: Vec<_> =
                lacking.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
            return Err(PrivilegeError::Lacking { names: names.join(", ") });
        }
        self.become_user(keep)
    }

    fn become_user(&self, keep: CapabilitySet) -> Result<(), PrivilegeError> {
        use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
        for number in 0..64 {
            let one = CapabilitySet::from_bits_retain(1 << number);
            // The first that this kernel does not know ends the list.
            if !keep.contains(one) && remove_capability_from_bounding_set(one).is_err() {
                break;
            }
        }
        let for_a_while = keep | self.needed_to_seal();
        set_keep_capabilities(!for_a_while.is_empty()).map_err(system("keep capabilities"))?;
        let user = &self.user;
        let groups: Vec<_> = user.additional_gids.iter().map(|gid| Gid::from_raw(*gid)).collect();
        setgroups(&groups).map_err(system("take on the groups"))?;
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        setresgid(gid, gid, gid).map_err(system("take on the group"))?;
        setresuid(uid, uid, uid).map_err(system("take on the user"))?;
        let sets =
            CapabilitySets { effective: for_a_while, permitted: for_a_while, inheritable: keep };
        set_capabilities(None, sets).map_err(system("drop capabilities"))?;
        for one in keep.iter() {
            configure_capability_in_ambient_set(one, true).map_err(system("keep capabilities"))?;
        }
        Ok(())
    }

    /// Without the promise never to gain privileges, the kernel takes a filter from an
    /// administrator only.
    fn needed_to_seal(&self) -> CapabilitySet {
        if self.no_new_privileges || self.filter.is_none() {
            CapabilitySet::empty()
        } else {
            CapabilitySet::SYS_ADMIN
        }
    }

    /// Puts the filter in force; only the program itself comes after it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn seal(&self) -> Result<(), PrivilegeError> {
        self.filter.apply()?;
        if self.needed_to_seal().is_empty() || self.keep.is_none() {
            return Ok(());
        }
        let keep = self.keep.unwrap_or(CapabilitySet::empty());
        let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: keep };
        set_capabilities(None, sets).map_err(system("drop capabilities"))
    }
}

fn capability_set(names: &[String]) -> Result<CapabilitySet, PrivilegeError> {
    let mut set = CapabilitySet::empty();
    for name in names {
        let known = name.strip_prefix("CAP_").and_then(CapabilitySet::from_name);
        set |= known.ok_or_else(|| PrivilegeError::Unknown { name: name.clone() })?;
    }
    Ok(set)
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
