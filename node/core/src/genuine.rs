//! Genuineness: whether the images that a document names are ones that the images repository lists.
//!
//! Decides by digest alone. [`Genuine`] can be made here only, and [`crate::accept`] takes nothing else,
//! so that a document of the director whose images nobody looked up does not compile into one that is
//! followed. Comes between [`crate::trust`] and [`crate::accept`].

use std::collections::BTreeSet;

use crate::document::Document;
use crate::ids::{AgentName, Digest};
use crate::trust::{Catalogue, TrustError};

/// Proof that every image of a document is genuine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genuine(Document);

/// An image that the images repository does not vouch for.
#[derive(Debug, thiserror::Error)]
#[error(
    "agent '{agent}' names image {image}, for which the images repository does not vouch: {source}; \
     if it is one of yours: skerry-fleet images add"
)]
pub struct NotGenuine {
    /// The first agent that names it.
    pub agent: AgentName,
    /// The image.
    pub image: Digest,
    /// What the images repository says.
    pub source: Box<TrustError>,
}

impl Genuine {
    /// Looks every image of a document up.
    ///
    /// # Errors
    /// The first image that is not genuine, with the agent that names it.
    pub fn check(document: Document, catalogue: &Catalogue) -> Result<Self, NotGenuine> {
        let mut seen = BTreeSet::new();
        for agent in &document.agents {
            if seen.insert(agent.image) {
                catalogue.check(&agent.image).map_err(|source| NotGenuine {
                    agent: agent.name.clone(),
                    image: agent.image,
                    source: Box::new(source),
                })?;
            }
        }
        Ok(Self(document))
    }

    /// The document.
    pub fn into_document(self) -> Document {
        self.0
    }
}

#[cfg(test)]
mod tests;
