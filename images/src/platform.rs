//! Which images run on which machine.
//!
//! Decides whether a platform suits another, and which of several suits best. Never asks the kernel:
//! the machine is the one this program was built for. [`crate::import`] uses it to choose.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operating system and a processor, in the words of the OCI specification.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// The processor, such as `amd64`, `arm64` or `arm`.
    #[serde(default)]
    pub architecture: String,
    /// The operating system, such as `linux`.
    #[serde(default)]
    pub os: String,
    /// The variant, such as `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a platform; one looks like linux/amd64, linux/arm64 or linux/arm/v7")]
pub struct PlatformError(String);

impl Platform {
    /// The platform that this program was built for.
    pub fn this_machine() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", None),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// How well an image for `image` runs here: `None` is not at all, and more is better.
    pub fn suits(&self, image: &Self) -> Option<u32> {
        if self.os != image.os || self.architecture != image.architecture {
            return None;
        }
        let have = variant_level(&self.architecture, self.variant.as_deref())?;
        let need = variant_level(&image.architecture, image.variant.as_deref())?;
        (need <= have).then_some(need)
    }
}

/// The rank of a variant; a variant that is not known suits nobody.
fn variant_level(architecture: &str, variant: Option<&str>) -> Option<u32> {
    match (architecture, variant.filter(|v| !v.is_empty())) {
        ("arm64", None) => Some(8),
        ("arm", None) => Some(7),
        (_, None) => Some(1),
        (_, Some(text)) => text.strip_prefix('v')?.parse().ok(),
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) if !variant.is_empty() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let mut words = text.split('/');
        let word = |word: Option<&str>| {
            word.filter(|w| !w.is_empty() && w.len() <= 32)
                .map(str::to_owned)
                .ok_or_else(|| PlatformError(text.chars().take(80).collect()))
        };
        let os = word(words.next())?;
        let architecture = word(words.next())?;
        let variant = words.next().map(|v| word(Some(v))).transpose()?;
        if words.next().is_some() {
            return Err(PlatformError(text.chars().take(80).collect()));
        }
        Ok(Self { architecture, os, variant })
    }
}

#[cfg(test)]
mod tests;
