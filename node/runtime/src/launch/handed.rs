//! Variables that must stand in no record: read from a file of the host when a program starts.
//!
//! The file holds `NAME=value` entries, each ended by a NUL. Never logs what it reads.

use std::fs::File;
use std::io::{self, Read};

use super::{Launch, MAX_BYTES};

impl Launch {
    /// The launch with the variables of [`Launch::env_file`] among its own; never to be written.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    pub(crate) fn with_env_file(&self) -> io::Result<Self> {
        let mut whole = self.clone();
        let Some(path) = whole.env_file.take() else { return Ok(whole) };
        let mut text = String::new();
        File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
        for entry in text.split_terminator('\0') {
            let Some(end) = entry.find('=').filter(|end| *end > 0) else {
                let why = "an entry of env_file is not KEY=value";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            };
            let name = entry.get(..=end).unwrap_or_default();
            whole.env.retain(|known| !known.starts_with(name));
            whole.env.push(entry.to_owned());
        }
        Ok(whole)
    }
}
