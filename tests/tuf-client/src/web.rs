//! Files over plain HTTP, bounded in bytes and in time.
//!
//! Does one request. It tells "there is no such file", which is an answer, from every other failure, which
//! is none.

use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ureq::Agent;

/// A client for plain HTTP.
pub struct Web {
    agent: Agent,
}

impl Web {
    /// `patience` is the longest that one file may take, however slowly it trickles.
    pub fn new(patience: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(patience))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        Self { agent: config.into() }
    }

    /// The file at `url`, one byte more than `max` at most; nothing when the server says that there is none.
    pub fn fetch(&self, url: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let mut response = self.agent.get(url).call().with_context(|| url.to_owned())?;
        match response.status().as_u16() {
            200 => {}
            403 | 404 => return Ok(None),
            status => bail!("{url}: HTTP status {status}"),
        }
        // The reader fails past its limit; one byte over is for the client to refuse.
        let reader = response.body_mut().with_config().limit(max.saturating_add(2)).reader();
        let mut bytes = Vec::new();
        reader
            .take(max.saturating_add(1))
            .read_to_end(&mut bytes)
            .with_context(|| url.to_owned())?;
        Ok(Some(bytes))
    }
}

/// A file below a base address.
pub fn join(base: &str, file: &str) -> String {
    format!("{}/{file}", base.trim_end_matches('/'))
}

/// A target's path as a part of an address. It is meant to be one already (section 4.5); what no address
/// can have is encoded.
pub fn path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
