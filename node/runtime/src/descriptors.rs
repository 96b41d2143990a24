//! How many files a process may have open: the node takes all that it may, and agents get what the
//! node was given, since programs exist that cannot live with more.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// In a monitor's environment: the soft limit that its agent is to have.
pub(crate) const VARIABLE: &str = "SKERRY_NOFILE";

static GIVEN: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit of this process to the hard one, and returns what it is then.
pub fn raise_descriptor_limit() -> u64 {
    let given = *GIVEN.get_or_init(|| getrlimit(Resource::Nofile));
    let all = Rlimit { current: given.maximum, maximum: given.maximum };
    // What is refused stays as it was.
    let _ = setrlimit(Resource::Nofile, all);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// What to tell a monitor; nothing, if the limit was not raised.
pub(crate) fn given() -> Option<String> {
    GIVEN.get().and_then(|given| given.current).map(|soft| soft.to_string())
}

/// In a monitor: goes back to what the node was given.
pub(crate) fn give_back() {
    let soft = std::env::var(VARIABLE).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(soft) = soft {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum });
    }
}
