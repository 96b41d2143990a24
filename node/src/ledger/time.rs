//! The time as the ledger knows it: the floor, a signed time, and the question that is open.
//!
//! Decides what is asked, what an answer moves, and when the floor is worth a row; the rules of belief are in
//! `skerry_core::trust::floor` and `signed_time`. It must never stop an agent, and never let a clock that
//! nobody signed refuse anything for good. [`crate::timekeeper`] asks and answers.

use jiff::Timestamp;
use skerry_core::bundle::BundleError;
use skerry_core::report::{TimeSource, TimeState};
use skerry_core::time::Tick;
use skerry_core::trust::floor::{Anchor, Floor};
use skerry_core::trust::signed_time::{self, TimeError};
use skerry_core::trust::{Now, Repository, RootsError, TrustError};

use super::{Ledger, LedgerError, ONLY, put, row};
use crate::clock::{self, Moment};
use crate::store::{Change, Space, Store};

/// An answer that comes later is none: a broker that holds it back makes it the older.
const ANSWER_MAX: u64 = 60_000;
/// While a signed time is no older than this, no other is asked for.
const ASK_AGAIN: u64 = 3_600_000;
/// A clock that jumps by more than this was set.
const JUMP: i64 = 60_000;
/// A clock that has run for so long is kept although a later one was kept before: it was set right.
const SETTLED: u64 = 24 * 3_600_000;

/// The time, and how far it is believed.
#[derive(Debug, Clone)]
pub struct Time {
    floor: Floor,
    kept: Floor,
    began: Tick,
    anchor: Option<Anchor>,
    asked: Option<(String, Tick)>,
    /// How the clock stood when a document was refused for it alone.
    doubted: Option<i64>,
}

impl Time {
    /// As it was kept, under a program made at `built`.
    pub fn new(kept: Option<Floor>, built: Timestamp, began: Tick) -> Self {
        let floor = kept.unwrap_or_else(|| Floor::new(built)).under(built);
        Self { floor, kept: floor, began, anchor: None, asked: None, doubted: None }
    }

    pub(super) fn load(store: &dyn Store) -> Result<Self, LedgerError> {
        let kept = row(store, Space::Floor, "floor")?;
        Ok(Self::new(kept, clock::built(), clock::tick()))
    }

    /// The time to judge by.
    pub fn now(&self, moment: Moment) -> Now {
        let shown = self.anchor.map_or(moment.wall, |anchor| anchor.now(moment.tick));
        Now { floor: self.floor, shown, wall: moment.wall }
    }

    /// What is told of it. The floor is told as it was kept, so that it is not told anew all the time.
    pub fn state(&self, moment: Moment) -> TimeState {
        TimeState {
            freshness: self.now(moment).clock().freshness(),
            source: if self.anchor.is_some() { TimeSource::Signed } else { TimeSource::Clock },
            floor: self.kept.certain(),
        }
    }

    /// The row to write, if `floor` is worth one.
    pub fn change(&self, floor: &Floor) -> Option<Change> {
        floor.is_worth_keeping(&self.kept).then(|| put(Space::Floor, ONLY, floor))
    }

    /// Takes a floor; what is worth a row has been written.
    pub fn learn(&mut self, floor: Floor) {
        if floor.is_worth_keeping(&self.kept) {
            self.kept = floor;
        }
        if floor.signed.is_none() {
            // Whoever signed the time has lost his say.
            self.anchor = None;
        }
        self.floor = floor;
    }

    /// Remembers a refusal that another time might not have made.
    pub fn doubt(&mut self, why: &BundleError, moment: Moment) {
        let by_clock = match why {
            BundleError::Trust { source: TrustError::Expired { expires, .. }, .. } => {
                *expires > self.floor.certain()
            }
            BundleError::Trust { source: TrustError::Unproven, .. } => true,
            _ => false,
        };
        if by_clock {
            self.doubted = Some(moment.offset());
        }
    }

    /// Whether a document waits for another time.
    pub fn is_doubted(&self) -> bool {
        self.doubted.is_some()
    }

    /// Whether the clock was set since a document was refused for it alone; said once.
    pub fn was_set(&mut self, moment: Moment) -> bool {
        let set = self.doubted.is_some_and(|offset| offset.abs_diff(moment.offset()) > JUMP as u64);
        if set {
            self.doubted = None;
        }
        set
    }

    /// The floor with the clock as it shows, if that is to be kept.
    pub fn with_clock(&self, moment: Moment) -> Floor {
        let now = self.now(moment);
        let settled = moment.tick.0.saturating_sub(self.began.0) >= SETTLED;
        let proven = now.clock().freshness() == skerry_core::trust::Freshness::Proven;
        if proven || settled { self.floor.with_saved(now.shown) } else { self.floor }
    }

    /// Whether there is a reason to ask: no signed time that is young enough.
    pub fn is_due(&self, tick: Tick) -> bool {
        self.anchor.is_none_or(|anchor| tick.0.saturating_sub(anchor.at.0) >= ASK_AGAIN)
    }

    /// Opens a question. The one before is forgotten.
    pub fn ask(&mut self, nonce: String, tick: Tick) {
        self.asked = Some((nonce, tick));
    }

    /// The nonce of the question that is open, and when it was asked.
    pub fn open_question(&self, tick: Tick) -> Option<(&str, Tick)> {
        let (nonce, at) = self.asked.as_ref()?;
        (tick.0.saturating_sub(at.0) <= ANSWER_MAX).then_some((&**nonce, *at))
    }

    /// Takes the time that answered the open question; whether a document deserves another look.
    pub fn answered(&mut self, time: Timestamp, at: Tick, floor: Floor) -> bool {
        self.asked = None;
        self.anchor = Some(Anchor { time, at });
        self.learn(floor);
        self.doubted.take().is_some()
    }
}

/// What is done about the time.
#[derive(Debug)]
pub enum TimeRequest {
    /// Opens a question, if one is due: its nonce.
    Ask(tokio::sync::oneshot::Sender<Result<Option<String>, LedgerError>>),
    /// An answer came. Whether a document deserves another look.
    Answer(Vec<u8>, tokio::sync::oneshot::Sender<Result<bool, LedgerError>>),
    /// Some time has passed. Whether a document deserves another look.
    Keep(tokio::sync::oneshot::Sender<Result<bool, LedgerError>>),
}

/// Why a signed time was not taken.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("this node has no trust root")]
    NoRoot,
    #[error(transparent)]
    Roots(#[from] RootsError),
    #[error(transparent)]
    Time(#[from] TimeError),
}

impl Ledger {
    /// Serves a request about the time.
    pub(super) fn serve_time(&mut self, request: TimeRequest) {
        match request {
            TimeRequest::Ask(done) => drop(done.send(self.ask_time())),
            TimeRequest::Answer(bytes, done) => drop(done.send(self.take_time(&bytes))),
            TimeRequest::Keep(done) => drop(done.send(self.keep_time())),
        }
    }

    fn ask_time(&mut self) -> Result<Option<String>, LedgerError> {
        let tick = clock::tick();
        if self.trust.is_none() || !self.time.is_due(tick) {
            return Ok(None);
        }
        let mut raw = [0; signed_time::NONCE_BYTES];
        getrandom::fill(&mut raw).map_err(LedgerError::Random)?;
        let nonce = hex::encode(raw);
        self.time.ask(nonce.clone(), tick);
        Ok(Some(nonce))
    }

    /// A wrong answer changes nothing, and leaves the question open: the right one may still come.
    fn take_time(&mut self, bytes: &[u8]) -> Result<bool, LedgerError> {
        let (time, at) = match self.read_time(bytes) {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(false),
            Err(why) => {
                tracing::debug!(%why, "a signed time was not taken");
                return Ok(false);
            }
        };
        let floor = self.time.floor.with_signed(time, true);
        self.commit(&Vec::from_iter(self.time.change(&floor)))?;
        let again = self.time.answered(time, at, floor);
        tracing::info!(%time, "the time is signed");
        self.publish();
        Ok(again)
    }

    fn read_time(&self, bytes: &[u8]) -> Result<Option<(Timestamp, Tick)>, NotTaken> {
        let Some((nonce, at)) = self.time.open_question(clock::tick()) else { return Ok(None) };
        let director = self.trust.as_ref().ok_or(NotTaken::NoRoot)?.open(Repository::Director)?;
        Ok(Some((signed_time::open(&director, bytes, Some(nonce))?, at)))
    }

    fn keep_time(&mut self) -> Result<bool, LedgerError> {
        let moment = clock::moment();
        let floor = self.time.with_clock(moment);
        if let Some(change) = self.time.change(&floor) {
            self.commit(&[change])?;
            self.time.learn(floor);
        }
        let again = self.time.was_set(moment);
        self.publish();
        Ok(again)
    }
}

#[cfg(test)]
mod tests;
