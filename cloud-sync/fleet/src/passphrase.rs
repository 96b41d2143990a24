//! Passphrases of key files: where they come from, asked for once and never shown.
//!
//! `SKERRY_PASSPHRASE` or a file named by `SKERRY_PASSPHRASE_FILE` for programs, the terminal for people. Keys
//! that are kept off line may have another one (`SKERRY_OFFLINE_PASSPHRASE`, `…_FILE`). It decides nothing about
//! keys; next: [`crate::keys`].

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::files::{self, FileError};

/// The most bytes of a passphrase.
const PASSPHRASE_MAX: usize = 1024;
/// A passphrase that is made here is no shorter.
const PASSPHRASE_MIN: usize = 8;

/// Which keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Those that sign each day.
    Online,
    /// Those that should be elsewhere.
    Offline,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
        }
    }

    /// The variables that may hold it, the first that is set counts.
    fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Online => &["SKERRY_PASSPHRASE"],
            Self::Offline => &["SKERRY_OFFLINE_PASSPHRASE", "SKERRY_PASSPHRASE"],
        }
    }
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// Nobody can be asked.
    #[error(
        "the {class} keys are encrypted, and there is no terminal to ask for their passphrase; set {variable}, or \
         {variable}_FILE to a file that holds it"
    )]
    NoTerminal {
        /// Which keys.
        class: &'static str,
        /// The variable.
        variable: &'static str,
    },
    /// The terminal failed.
    #[error("cannot ask for the passphrase of the {class} keys: {source}")]
    Terminal {
        /// Which keys.
        class: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The file that holds it cannot be read.
    #[error("the passphrase of the {class} keys: {source}")]
    File {
        /// Which keys.
        class: &'static str,
        /// Why.
        source: FileError,
    },
    /// Nothing, or far too much.
    #[error(
        "the passphrase of the {class} keys has {actual} bytes; {PASSPHRASE_MIN} to {PASSPHRASE_MAX} are allowed"
    )]
    Length {
        /// Which keys.
        class: &'static str,
        /// How many.
        actual: usize,
    },
    /// Two different words.
    #[error("both passphrases for the {class} keys differ; nothing was made")]
    Differ {
        /// Which keys.
        class: &'static str,
    },
}

/// The passphrases of one run of the program. Clones know the same ones.
#[derive(Clone, Default)]
pub struct Passphrases {
    known: Arc<[OnceLock<String>; 2]>,
}

impl std::fmt::Debug for Passphrases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passphrases").finish_non_exhaustive()
    }
}

impl Passphrases {
    /// Those that are known already; for tests.
    #[cfg(test)]
    pub fn of(online: &str, offline: &str) -> Self {
        let known = [online, offline].map(|text| OnceLock::from(text.to_owned()));
        Self { known: Arc::new(known) }
    }

    /// The passphrase of keys that are there.
    ///
    /// # Errors
    /// Nobody says it.
    pub fn get(&self, class: Class) -> Result<&str, PassphraseError> {
        self.find(class, || ask(class, &format!("Passphrase of the {} keys: ", class.name())))
    }

    /// The passphrase for keys that are made now, asked for twice.
    ///
    /// # Errors
    /// Nobody says it, or not twice the same.
    pub fn choose(&self, class: Class) -> Result<&str, PassphraseError> {
        let name = class.name();
        let passphrase = self.find(class, || {
            let first = ask(class, &format!("New passphrase for the {name} keys: "))?;
            let again = ask(class, "The same again: ")?;
            if first == again { Ok(first) } else { Err(PassphraseError::Differ { class: name }) }
        })?;
        if passphrase.len() < PASSPHRASE_MIN {
            let actual = passphrase.len();
            return Err(PassphraseError::Length { class: name, actual });
        }
        Ok(passphrase)
    }

    fn find(
        &self,
        class: Class,
        ask: impl FnOnce() -> Result<String, PassphraseError>,
    ) -> Result<&str, PassphraseError> {
        let [online, offline] = &*self.known;
        let cell = match class {
            Class::Online => online,
            Class::Offline => offline,
        };
        if let Some(known) = cell.get() {
            return Ok(known);
        }
        let found = match from_environment(class)? {
            Some(found) => found,
            None => ask()?,
        };
        if found.is_empty() || found.len() > PASSPHRASE_MAX {
            return Err(PassphraseError::Length { class: class.name(), actual: found.len() });
        }
        Ok(cell.get_or_init(|| found))
    }
}

fn from_environment(class: Class) -> Result<Option<String>, PassphraseError> {
    for variable in class.variables() {
        if let Ok(text) = std::env::var(variable) {
            return Ok(Some(text));
        }
        if let Some(path) = std::env::var_os(format!("{variable}_FILE")).map(PathBuf::from) {
            let text = files::read_text(&path)
                .map_err(|source| PassphraseError::File { class: class.name(), source })?;
            return Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()));
        }
    }
    Ok(None)
}

/// Asks on the terminal, whatever standard input is, and shows nothing of the answer.
fn ask(class: Class, prompt: &str) -> Result<String, PassphraseError> {
    let variable = class.variables().first().copied().unwrap_or("SKERRY_PASSPHRASE");
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    let Ok(mut terminal) = terminal else {
        return Err(PassphraseError::NoTerminal { class: class.name(), variable });
    };
    let failed = |source| PassphraseError::Terminal { class: class.name(), source };
    let before = tcgetattr(&terminal).map_err(|error| failed(error.into()))?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    hidden.local_modes.insert(LocalModes::ECHONL);
    // Hidden first: what is typed as soon as the question appears is kept, and not shown.
    let asked = tcsetattr(&terminal, OptionalActions::Flush, &hidden).map_err(io::Error::from);
    let asked = asked.and_then(|()| terminal.write_all(prompt.as_bytes()));
    let answer = asked.and_then(|()| {
        let mut line = String::new();
        let limit = PASSPHRASE_MAX as u64 + 2;
        BufReader::new((&terminal).take(limit)).read_line(&mut line).map(|_| line)
    });
    // Whatever came of it: a terminal without echo is of no use to its owner.
    let restored = tcsetattr(&terminal, OptionalActions::Flush, &before);
    let line = answer.map_err(failed)?;
    restored.map_err(|error| failed(error.into()))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
