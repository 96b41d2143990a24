//! Private keys: made, written, read back.
//!
//! A key file holds 64 hexadecimal digits, or an ed25519 key in PKCS#8 PEM as `openssl genpkey`
//! writes it. It never prints a key. Files are not encrypted yet; their mode is 0600.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use skerry_core::trust::sign::SigningKey;

use crate::files::{self, FileError, Readers};

/// What stands before the 32 bytes of an ed25519 key in PKCS#8 (RFC 8410), versions 1 and 2.
const PKCS8_V1: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
const PKCS8_V2: [u8; 16] = [48, 81, 2, 1, 1, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file holds something else.
    #[error("{path} holds no ed25519 key: 64 hexadecimal digits or PKCS#8 PEM are expected")]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// The kernel gives no random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

/// A new key.
///
/// # Errors
/// There are no random numbers.
pub fn make() -> Result<SigningKey, KeysError> {
    let mut raw = [0; 32];
    getrandom::fill(&mut raw).map_err(KeysError::Random)?;
    Ok(SigningKey::from_bytes(&raw))
}

/// Writes a key where only its owner can read it.
///
/// # Errors
/// The file system refused.
pub fn write(path: &Path, key: &SigningKey) -> Result<(), KeysError> {
    let text = format!("{}\n", hex::encode(key.to_bytes()));
    Ok(files::write(path, text.as_bytes(), Readers::Owner)?)
}

/// Reads a key.
///
/// # Errors
/// The file cannot be read, or holds no key.
pub fn read(path: &Path) -> Result<SigningKey, KeysError> {
    let text = files::read_text(path)?;
    let raw = from_hex(&text).or_else(|| from_pem(&text));
    let raw = raw.ok_or_else(|| KeysError::Content { path: path.to_owned() })?;
    Ok(SigningKey::from_bytes(&raw))
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut raw = [0; 32];
    hex::decode_to_slice(text.trim(), &mut raw).ok()?;
    Some(raw)
}

fn from_pem(text: &str) -> Option<[u8; 32]> {
    let (_, after) = text.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (body, _) = after.split_once("-----END PRIVATE KEY-----")?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).ok()?;
    let key = der.strip_prefix(&PKCS8_V1).or_else(|| der.strip_prefix(&PKCS8_V2))?;
    key.get(..32)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_written_key_is_read_back_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("root.key"), make().unwrap());
        write(&path, &key).unwrap();
        assert_eq!(read(&path).unwrap().to_bytes(), key.to_bytes());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn keys_of_openssl_are_read() {
        // The key of RFC 8410, section 10.3.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
            -----END PRIVATE KEY-----\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        std::fs::write(&path, pem).unwrap();
        let key = read(&path).unwrap();
        assert_eq!(
            hex::encode(key.verifying_key().as_bytes()),
            "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
        );
    }

    #[test]
    fn other_content_is_refused_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        std::fs::write(&path, "secret").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("root.key holds no ed25519 key"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
