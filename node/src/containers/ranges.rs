//! Ranges of user ids for agents with a user namespace: one for each name, kept over restarts, so
//! that what an agent wrote into a volume stays its own.
//!
//! From what systemd sets aside for containers (its `UIDS-GIDS`), in its upper part.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use skerry_core::ids::AgentName;
use skerry_runtime::UserNamespace;

use crate::durable;

const FILE: &str = "uid-ranges.json";
const FILE_MAX: u64 = 1 << 20;
/// Ids in a range: all that an image may use.
const COUNT: u32 = skerry_core::agent::security::IDS_OF_A_NAMESPACE;
const FIRST: u32 = 0x1000_0000;
const LAST: u32 = 0x6fff_0000;

/// The range of an agent; the lowest free one, written down, if it has none yet.
pub(super) fn of(state_dir: &Path, name: &AgentName) -> io::Result<UserNamespace> {
    let mut known = read(state_dir)?;
    let slot = match known.get(name.as_str()) {
        Some(slot) => *slot,
        None => {
            let slot = free(&known).ok_or_else(|| io::Error::other("no user ids are left"))?;
            known.insert(name.to_string(), slot);
            write(state_dir, &known)?;
            slot
        }
    };
    let start = FIRST.saturating_add(slot.saturating_mul(COUNT));
    Ok(UserNamespace { uid_start: start, gid_start: start, count: COUNT })
}

/// Gives back the range of an agent that nobody wants any more.
pub(super) fn forget(state_dir: &Path, name: &AgentName) -> io::Result<()> {
    let mut known = read(state_dir)?;
    if known.remove(name.as_str()).is_some() { write(state_dir, &known) } else { Ok(()) }
}

fn free(known: &BTreeMap<String, u32>) -> Option<u32> {
    (0..=(LAST - FIRST) / COUNT).find(|slot| !known.values().any(|taken| taken == slot))
}

fn read(state_dir: &Path) -> io::Result<BTreeMap<String, u32>> {
    let content = durable::read(&state_dir.join(FILE), FILE_MAX)?;
    Ok(content.map(|content| serde_json::from_slice(&content)).transpose()?.unwrap_or_default())
}

fn write(state_dir: &Path, known: &BTreeMap<String, u32>) -> io::Result<()> {
    durable::write(state_dir, FILE, &serde_json::to_vec(known)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_range_of_its_own_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| of(folder.path(), &name.parse().unwrap()).unwrap().uid_start;
        let (a, b) = (of("a"), of("b"));
        assert_eq!(b - a, COUNT);
        assert_eq!(of("a"), a);
        forget(folder.path(), &"a".parse().unwrap()).unwrap();
        assert_eq!((of("b"), of("c")), (b, a));
    }
}
