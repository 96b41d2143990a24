//! What time it certainly is not: the clock floor, and how far a device's own clock is believed.
//!
//! Decides whether "not expired" is known, unknown, or certainly false. Two things move the floor for good:
//! the build (no program is older than itself) and signed times. A device's own clock never does, whoever
//! set it: pushed to 2040 once, it would refuse every update for ever. So the clock that was last saved
//! can only cast doubt on the one that runs. It must never read a clock; the shell does that, and persists
//! the [`Floor`].
//!
//! | running clock | expired by the floor | expired by the clock only | by neither |
//! |---|---|---|---|
//! | neither behind the floor nor the saved clock | refused | refused until the clock is set right | fresh |
//! | behind one of them | refused | unproven: policy decides | unproven: policy decides |

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Proof, TrustError};
use crate::time::Tick;

/// How far a time moves before it is written down again.
const WORTH_A_WRITE: SignedDuration = SignedDuration::from_hours(24);

/// The time an update is judged by. One value serves the whole update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// What the node's clock says.
    pub now: Timestamp,
    /// A time that has certainly passed: the persisted time floor.
    pub floor: Timestamp,
}

/// How the time stands when an update begins: the floor, and what a clock shows. One value serves the whole
/// update, but for signed times that a root of that update takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The floor as it was kept.
    pub floor: Floor,
    /// What the clock shows: a signed time, if there is one.
    pub shown: Timestamp,
    /// What the device's own clock shows.
    pub wall: Timestamp,
}

impl Now {
    /// The time to judge by.
    pub fn clock(&self) -> Clock {
        self.floor.clock(self.shown)
    }

    /// The same without anything that somebody signed.
    #[must_use]
    pub fn without_signed(self) -> Self {
        Self { floor: self.floor.without_signed(), shown: self.wall, wall: self.wall }
    }
}

impl From<Clock> for Now {
    fn from(Clock { now, floor }: Clock) -> Self {
        Self { floor: Floor::new(floor), shown: now, wall: now }
    }
}

/// The time now, as somebody trusted has signed it in this boot. While there is one, the device's own clock
/// is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// What was signed.
    pub time: Timestamp,
    /// When it was asked for, by the clock that never jumps: the answer is no older than that.
    pub at: Tick,
}

impl Anchor {
    /// The time now.
    pub fn now(&self, tick: Tick) -> Timestamp {
        let millis = i64::try_from(tick.0.saturating_sub(self.at.0)).unwrap_or(i64::MAX);
        self.time.checked_add(SignedDuration::from_millis(millis)).unwrap_or(Timestamp::MAX)
    }
}

/// What can be said of a file that ends at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// The clock is plausible, and by it the file has not expired.
    Fresh,
    /// The clock is behind the floor. By the floor the file has not expired.
    Unproven,
    /// It has expired: by the floor, which is certain, or by a clock that is ahead of it.
    Expired,
}

/// What the clock allows to say of something that has not expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Freshness {
    /// The clock is plausible, and by it nothing has expired.
    Proven,
    /// The clock is behind the time floor. Signatures and versions hold; freshness is unknown.
    Unproven,
}

impl Clock {
    /// The time that expiry is measured against: a clock behind the floor is not believed.
    pub fn effective(&self) -> Timestamp {
        self.now.max(self.floor)
    }

    /// Whether "not expired" is known, or only not disproved.
    pub fn freshness(&self) -> Freshness {
        if self.now < self.floor { Freshness::Unproven } else { Freshness::Proven }
    }

    /// How a file that ends at `expires` stands.
    pub fn standing(&self, expires: Timestamp) -> Standing {
        match self.freshness() {
            _ if expires <= self.effective() => Standing::Expired,
            Freshness::Proven => Standing::Fresh,
            Freshness::Unproven => Standing::Unproven,
        }
    }
}

/// What is done with what is not proven to be fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// It is taken, and reported: signatures and versions hold all the same.
    #[default]
    Accept,
    /// It is refused, until the clock is set right or a signed time comes.
    Refuse,
}

impl Policy {
    /// Whether something with this evidence may be taken.
    ///
    /// # Errors
    /// Its freshness is unproven, and this policy asks for a proof.
    pub fn check(self, proof: &Proof) -> Result<(), TrustError> {
        match (self, proof.freshness) {
            (Self::Refuse, Freshness::Unproven) => Err(TrustError::Unproven),
            _ => Ok(()),
        }
    }
}

/// The floor as it is persisted: one row, small, and rarely written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// When this program was made.
    pub built: Timestamp,
    /// The latest time that somebody trusted has signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Timestamp>,
    /// What the device's own clock said when it was last saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<Timestamp>,
}

impl Floor {
    /// A device that has never heard a time.
    pub fn new(built: Timestamp) -> Self {
        Self { built, signed: None, saved: None }
    }

    /// The persisted floor under a program that may be another than the one that wrote it.
    #[must_use]
    pub fn under(self, built: Timestamp) -> Self {
        Self { built, ..self }
    }

    /// The time that has passed for certain.
    pub fn certain(&self) -> Timestamp {
        self.signed.map_or(self.built, |signed| signed.max(self.built))
    }

    /// A time that came under a signature by a key whose word counts for that. Later ones raise the floor,
    /// earlier ones change nothing. When it answers a nonce of ours it is the time now: a saved clock that
    /// is ahead of it was wrong, and is forgotten.
    #[must_use]
    pub fn with_signed(self, time: Timestamp, is_now: bool) -> Self {
        let signed = self.signed.map_or(time, |before| before.max(time));
        let saved = self.saved.filter(|saved| !is_now || *saved <= time);
        Self { signed: Some(signed), saved, ..self }
    }

    /// Forgets every signed time: for when the key that signed them was taken away
    /// ([`super::TrustedSet::keys_were_taken`]). A thief could have pushed the floor far ahead with it, as
    /// with versions; and the clock that was saved may have been the one that he pushed.
    #[must_use]
    pub fn without_signed(self) -> Self {
        Self::new(self.built)
    }

    /// The device's clock, to be kept over a restart. Only the last one is kept, and none that is certainly
    /// wrong, so that a clock that was set right is believed again.
    #[must_use]
    pub fn with_saved(self, now: Timestamp) -> Self {
        Self { saved: if now >= self.certain() { Some(now) } else { self.saved }, ..self }
    }

    /// Whether this is so far from what was `kept` that it is worth a write to flash: once a day while all
    /// goes well, and at once when a time was taken back.
    pub fn is_worth_keeping(&self, kept: &Self) -> bool {
        let moved = |now: Option<Timestamp>, kept: Option<Timestamp>| match (now, kept) {
            (None, None) => false,
            (Some(now), Some(kept)) => now < kept || now.duration_since(kept) >= WORTH_A_WRITE,
            _ => true,
        };
        moved(self.signed, kept.signed) || moved(self.saved, kept.saved)
    }

    /// The time to judge by while the device's own clock says `now`. A clock behind the one that was saved
    /// is not believed; which of the two is wrong cannot be told, so the saved one refuses nothing.
    pub fn clock(&self, now: Timestamp) -> Clock {
        let behind = self.saved.is_some_and(|saved| now < saved);
        Clock { now: if behind { Timestamp::MIN } else { now }, floor: self.certain() }
    }
}

#[cfg(test)]
mod tests;
