//! The way of one document through the node: verify, accept, commit, publish, acknowledge.
//!
//! The same for every way by which a bundle comes: broker, stick, local file. It must never take an
//! effect before the commit, and never answer before it. The rules are in `skerry_core::trust` and
//! `skerry_core::accept`; the caller ([`crate::link`] for instance) acknowledges when this returns.

use std::sync::Arc;

use skerry_core::accept::{self, Ledger as Record, Verdict};
use skerry_core::admit;
use skerry_core::bundle::{Outcome, verify};
use skerry_core::ids::Digest;
use skerry_core::report::{REFUSED_MAX, RefusedDocument};
use skerry_core::trust::{TrustStore, Verified};

use crate::clock;
use crate::ledger::{Ledger, LedgerError, ONLY, put};
use crate::store::Space;

/// What became of a bundle; durable when it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is in force now.
    Accepted {
        /// The document's version.
        version: u64,
        /// The digest of the document.
        digest: Digest,
    },
    /// It was in force already.
    Unchanged,
    /// It was refused, with the rule that it broke.
    Refused(String),
}

/// Takes a bundle through all its stations.
///
/// # Errors
/// Its fate could not be made durable; the bundle must not be acknowledged, and comes again.
pub fn take(ledger: &mut Ledger, bytes: &[u8]) -> Result<Fate, LedgerError> {
    let received = Digest::of(bytes);
    let Some(trust) = ledger.trust.clone() else {
        let reason = "this node has no trust root; set trust.root in its configuration";
        return refuse(ledger, received, reason.to_owned(), None);
    };
    let Outcome { trust: learned, dropped, result } =
        verify(&trust, bytes, &ledger.audience, clock::for_trust());
    for why in dropped {
        tracing::warn!(%why, "dropped metadata that the current root does not vouch for");
    }
    let learned = (learned != trust).then_some(learned);
    let verified = match result {
        Ok(verified) => verified,
        Err(why) => return refuse(ledger, received, why.to_string(), learned),
    };
    match accept::judge(ledger.document.as_deref(), &verified) {
        Ok(Verdict::Next(accepted)) => {
            if let Err(why) = admit::check(&accepted.get().agents, [], &ledger.profile) {
                return refuse(ledger, received, why.to_string(), learned);
            }
            let fate =
                Fate::Accepted { version: accepted.get().version, digest: accepted.digest() };
            commit(ledger, *accepted, &verified, learned)?;
            tracing::info!(?fate, "document accepted");
            Ok(fate)
        }
        Ok(Verdict::Unchanged) => {
            remember(ledger, learned)?;
            Ok(Fate::Unchanged)
        }
        Err(why) => refuse(ledger, received, why.to_string(), learned),
    }
}

fn commit(
    ledger: &mut Ledger,
    accepted: accept::Accepted<skerry_core::document::Document>,
    verified: &Verified<Vec<u8>>,
    learned: Option<TrustStore>,
) -> Result<(), LedgerError> {
    let record = Record::of(&accepted, verified);
    let mut changes: Vec<_> =
        record.iter().map(|record| put(Space::Document, ONLY, record)).collect();
    changes.extend(learned.iter().map(|trust| put(Space::Trust, ONLY, trust)));
    ledger.commit(&changes)?;
    ledger.document = Some(Arc::new(accepted));
    ledger.trust = learned.or_else(|| ledger.trust.take());
    ledger.publish();
    Ok(())
}

fn remember(ledger: &mut Ledger, learned: Option<TrustStore>) -> Result<(), LedgerError> {
    if let Some(trust) = learned {
        ledger.commit(&[put(Space::Trust, ONLY, &trust)])?;
        ledger.trust = Some(trust);
    }
    Ok(())
}

/// A refusal is data: it is kept, told to the fleet, and acknowledged like everything else. The same
/// bytes for the same reason are only counted.
fn refuse(
    ledger: &mut Ledger,
    digest: Digest,
    reason: String,
    learned: Option<TrustStore>,
) -> Result<Fate, LedgerError> {
    remember(ledger, learned)?;
    let known = ledger.refused.iter_mut().find(|r| r.digest == digest && r.reason == reason);
    if let Some(known) = known {
        known.count = known.count.saturating_add(1);
        return Ok(Fate::Refused(reason));
    }
    tracing::warn!(%digest, reason, "document refused");
    let mut refused = ledger.refused.clone();
    refused.push(RefusedDocument {
        digest,
        reason: reason.clone(),
        at_ms: clock::wall_ms(),
        count: 1,
    });
    let surplus = refused.len().saturating_sub(REFUSED_MAX);
    refused.drain(..surplus);
    ledger.commit(&[put(Space::Refused, ONLY, &refused)])?;
    ledger.refused = refused;
    ledger.publish();
    Ok(Fate::Refused(reason))
}

#[cfg(test)]
mod tests;
