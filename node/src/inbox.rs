//! The way of one document through the node: verify, accept, commit, publish, acknowledge.
//!
//! The same for every way by which a bundle comes: broker, stick, local file. It must never take an
//! effect before the commit, and never answer before it. The rules are in `skerry_core::trust` and
//! `skerry_core::accept`; the caller ([`crate::link`] for instance) acknowledges when this returns.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skerry_core::accept::{self, Accepted, Ledger as Record, Verdict};
use skerry_core::admit;
use skerry_core::audit::{Event, Kind};
use skerry_core::bundle::{BundleError, Delivery, Outcome, verify};
use skerry_core::document::Document;
use skerry_core::ids::Digest;
use skerry_core::report::RefusedDocument;
use skerry_core::trust::floor::Policy;
use skerry_core::trust::{Repository, Verified};

use crate::clock;
use crate::ledger::refusals::{DOCUMENT, RESOURCES};
use crate::ledger::{Learned, Ledger, LedgerError, ONLY, put};
use crate::store::Space;

/// What became of a bundle; durable when it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
        return refuse(ledger, received, "root", ledger.no_trust.clone());
    };
    let moment = clock::moment();
    let Outcome { trust: seen, files, floor, dropped, result } =
        verify(&trust, bytes, &ledger.audience, ledger.time.now(moment));
    for why in dropped {
        tracing::warn!(%why, "dropped metadata that the current root does not vouch for");
    }
    let seen = (seen != trust).then_some((seen, files));
    let learned = Learned { trust: seen, floor: Some(floor) };
    let delivery = match result.and_then(|delivery| fresh(ledger.unproven, delivery)) {
        Ok(delivery) => delivery,
        Err(why) => {
            // First what was learned: it may be that a thief's time has refused it.
            remember(ledger, learned)?;
            ledger.time.doubt(&why, moment);
            return refuse(ledger, received, why.rule(), why.to_string());
        }
    };
    match accept::judge(ledger.document.as_deref(), &delivery) {
        Ok(Verdict::Next(accepted)) => {
            if let Err(why) = admit::check(&accepted.get().agents, [], &ledger.profile) {
                remember(ledger, learned)?;
                return refuse(ledger, received, RESOURCES, why.to_string());
            }
            let fate =
                Fate::Accepted { version: accepted.get().version, digest: accepted.digest() };
            commit(ledger, *accepted, &delivery.document, learned)?;
            tracing::info!(?fate, "document accepted");
            Ok(fate)
        }
        Ok(Verdict::Unchanged) => {
            remember(ledger, learned)?;
            Ok(Fate::Unchanged)
        }
        Err(why) => {
            remember(ledger, learned)?;
            refuse(ledger, received, DOCUMENT, why.to_string())
        }
    }
}

/// The node's policy about what a clock cannot prove to be current.
fn fresh(policy: Policy, delivery: Delivery) -> Result<Delivery, BundleError> {
    let repository = Repository::Director;
    match policy.check(delivery.document.proof()) {
        Ok(()) => Ok(delivery),
        Err(source) => Err(BundleError::Trust { repository, source }),
    }
}

fn commit(
    ledger: &mut Ledger,
    accepted: Accepted<Document>,
    verified: &Verified<Vec<u8>>,
    learned: Learned,
) -> Result<(), LedgerError> {
    let record = Record::of(&accepted, verified);
    let mut changes: Vec<_> =
        record.iter().map(|record| put(Space::Document, ONLY, record)).collect();
    changes.extend(ledger.changes(&learned));
    ledger.commit(&changes)?;
    note_unwritten(ledger);
    ledger.audit.note(event(&accepted));
    ledger.audit.settle();
    ledger.document = Some(Arc::new(accepted));
    ledger.learn(learned);
    ledger.publish();
    Ok(())
}

/// What the audit log says of a document.
pub fn event(accepted: &Accepted<Document>) -> Event {
    let (audience, version) = (accepted.get().audience.to_string(), accepted.get().version);
    let event = Event::new(Kind::Accepted, audience).version(version).digest(accepted.digest());
    event.keys(accepted.signed_by())
}

fn remember(ledger: &mut Ledger, learned: Learned) -> Result<(), LedgerError> {
    let changes = ledger.changes(&learned);
    if !changes.is_empty() {
        ledger.commit(&changes)?;
    }
    let told = learned.trust.is_some();
    ledger.learn(learned);
    if told {
        ledger.publish();
    }
    Ok(())
}

/// A refusal is data: it is told to the fleet, kept where that can be, and acknowledged like everything else.
/// It is for people, so nothing waits for its row: a full disk must not let garbage stand before a document.
fn refuse(
    ledger: &mut Ledger,
    digest: Digest,
    rule: &'static str,
    reason: String,
) -> Result<Fate, LedgerError> {
    let (at_ms, now) = (clock::wall_ms(), clock::tick());
    let refused = RefusedDocument { digest, reason: reason.clone(), at_ms, count: 1 };
    let is_news = ledger.refused.take(refused, rule, now);
    if is_news {
        tracing::warn!(%digest, reason, "document refused");
        note_unwritten(ledger);
        ledger.audit.note(Event::new(Kind::Refused, "bundle").digest(digest).detail(&reason));
        ledger.audit.settle();
        if let Err(error) = ledger.commit(&[put(Space::Refused, ONLY, &ledger.refused.list())]) {
            tracing::warn!(%error, "the next start knows nothing of this refusal");
        }
    }
    ledger.show(is_news);
    Ok(Fate::Refused(reason))
}

/// One entry for all that were refused and had none.
fn note_unwritten(ledger: &mut Ledger) {
    let unwritten = ledger.refused.take_unwritten();
    if unwritten > 0 {
        let text = format!("{unwritten} more were refused, too many to be written one by one");
        ledger.audit.note(Event::new(Kind::Refused, "bundle").detail(&text));
    }
}

#[cfg(test)]
mod tests;
