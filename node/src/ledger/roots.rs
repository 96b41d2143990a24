//! The roots: those that are kept, and the file of roots that somebody has put on the device.
//!
//! Roots that come with bundles follow one another. A file (`trust.root`) that is another than the one
//! before is the owner's own word, and takes their place: so a device is won back from whoever has stolen a
//! root key. It must never take away a root for a file that is none.

use skerry_core::audit::{Event, Kind};
use skerry_core::ids::Digest;
use skerry_core::report::TrustedFiles;
use skerry_core::trust::{Repositories, Repository, Roots, TrustStore};

use super::{Ledger, LedgerError, ONLY, put};
use crate::clock;
use crate::store::{Change, Space, Store};

/// The row with the digest of the file of roots that was followed last.
const INSTALLED: &[u8] = b"installed";
const BOTH: [Repository; 2] = [Repository::Director, Repository::Images];

impl Ledger {
    /// Follows the file of roots, if it is another than the one before. A node that has noted none was given
    /// this one. What was learned stays as far as the new roots vouch for it; the document stays in force
    /// until the next.
    pub(super) fn install(&mut self, roots: Roots) -> Result<(), LedgerError> {
        let digest = Digest::of(roots.to_text().as_bytes()).to_string();
        let before = self.store.get(Space::Trust, INSTALLED)?;
        if before.as_deref() == Some(digest.as_bytes()) {
            return Ok(());
        }
        let mut changes = vec![Change::put(Space::Trust, INSTALLED, digest)];
        let Some(kept) = self.trust.as_ref().filter(|_| before.is_some()) else {
            return self.commit(&changes);
        };
        let mut next = kept.clone();
        (next.director.root, next.images.root) = (roots.director, roots.images);
        let [director, images] = BOTH.map(|repository| next.open(repository));
        let next = Repositories { director: director?.to_store(), images: images?.to_store() };
        let mut now = self.time.now(clock::moment());
        if next.director.root != kept.director.root {
            now = now.without_signed();
        }
        changes.push(put(Space::Trust, ONLY, &next));
        changes.extend(self.time.change(&now.floor));
        // Said before it is done: a power cut in between says it twice.
        self.note_roots(&next, Some("trust.root is another file than before"));
        self.audit.settle();
        self.commit(&changes)?;
        tracing::warn!("trust.root is another file than before; what is trusted begins from it");
        self.time.learn(now.floor);
        self.files = files(Some(&next));
        self.trust = Some(next);
        Ok(())
    }

    /// Writes down each root that takes another's place.
    pub(super) fn note_roots(&self, next: &Repositories, detail: Option<&str>) {
        for repository in BOTH {
            let before = self.trust.as_ref().map(|trust| &trust.of(repository).root);
            if before == Some(&next.of(repository).root) {
                continue;
            }
            let Ok(set) = next.open(repository) else { continue };
            let root = set.root();
            let event = Event::new(Kind::Root, repository.name()).version(root.version);
            let event = event.keys(&root.roles.root.keyids);
            self.audit.note(Event { detail: detail.map(str::to_owned), ..event });
        }
    }
}

/// What is trusted: as it was kept, or the roots that were installed. A node that kept one repository only
/// keeps what it knew of that one.
pub(super) fn trusted(
    store: &dyn Store,
    roots: Option<Roots>,
) -> Result<Option<Repositories>, LedgerError> {
    let Some(value) = store.get(Space::Trust, ONLY)? else { return Ok(roots.map(Into::into)) };
    if let Ok(kept) = serde_json::from_slice(&value) {
        return Ok(Some(kept));
    }
    let director: TrustStore =
        serde_json::from_slice(&value).map_err(|e| LedgerError::Row("trust", e))?;
    Ok(roots.map(|roots| Repositories { director, ..roots.into() }))
}

/// What there is to tell of the files of both repositories.
pub(super) fn files(trust: Option<&Repositories>) -> [Option<TrustedFiles>; 2] {
    BOTH.map(|repository| {
        let set = trust?.open(repository).ok()?;
        Some(TrustedFiles::of(&set))
    })
}
