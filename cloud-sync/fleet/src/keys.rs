//! Private keys: made, written, read back.
//!
//! A key file is PKCS#8 PEM, encrypted with a passphrase (PBES2: scrypt, AES-256-CBC), which OpenSSL reads too;
//! or, where the operator asked for that, 64 hexadecimal digits. A plain PKCS#8 file of `openssl genpkey` is
//! read as well. It never prints a key. Files are their owner's alone: mode 0600.

use std::path::{Path, PathBuf};

use pkcs8::der::pem::PemLabel;
use pkcs8::der::zeroize::Zeroizing;
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use skerry_core::trust::sign::SigningKey;

use crate::files::{self, FileError, Readers};
use crate::passphrase::{Class, PassphraseError, Passphrases};

/// What stands before the 32 bytes of an ed25519 key in PKCS#8 (RFC 8410), versions 1 and 2.
const PKCS8_V1: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
const PKCS8_V2: [u8; 16] = [48, 81, 2, 1, 1, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

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
    /// The passphrase does not fit.
    #[error("{path} cannot be decrypted: the passphrase is wrong, or the file is damaged")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// There is no passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// It cannot be encrypted.
    #[error("cannot encrypt {path}: {source}")]
    Encrypt {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: pkcs8::Error,
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
    let mut raw = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *raw).map_err(KeysError::Random)?;
    Ok(SigningKey::from_bytes(&raw))
}

/// Writes a key where only its owner can read it, encrypted if there is a passphrase.
///
/// # Errors
/// The file system refused.
pub fn write(path: &Path, key: &SigningKey, passphrase: Option<&str>) -> Result<(), KeysError> {
    let text = match passphrase {
        Some(passphrase) => encrypted(key, passphrase)
            .map_err(|source| KeysError::Encrypt { path: path.to_owned(), source })?,
        None => Zeroizing::new(format!("{}\n", hex::encode(key.to_bytes()))),
    };
    Ok(files::write(path, text.as_bytes(), Readers::Owner)?)
}

fn encrypted(key: &SigningKey, passphrase: &str) -> Result<Zeroizing<String>, pkcs8::Error> {
    let der = Zeroizing::new([&PKCS8_V1[..], &key.to_bytes()].concat());
    let locked = PrivateKeyInfoRef::try_from(&der[..])?.encrypt(passphrase)?;
    Ok(locked.to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF)?)
}

/// Reads a key; its passphrase is asked for if it has one.
///
/// # Errors
/// The file cannot be read or decrypted, or holds no key.
pub fn read(path: &Path, class: Class, passphrases: &Passphrases) -> Result<SigningKey, KeysError> {
    let text = Zeroizing::new(files::read_text(path)?);
    let content = || KeysError::Content { path: path.to_owned() };
    let raw = if is_encrypted(&text) {
        let passphrase = passphrases.get(class)?;
        let (label, locked) = SecretDocument::from_pem(&text).map_err(|_| content())?;
        EncryptedPrivateKeyInfoRef::validate_pem_label(label).map_err(|_| content())?;
        let locked =
            EncryptedPrivateKeyInfoRef::try_from(locked.as_bytes()).map_err(|_| content())?;
        let opened = locked.decrypt(passphrase);
        let opened = opened.map_err(|_| KeysError::Locked { path: path.to_owned() })?;
        from_der(opened.as_bytes())
    } else {
        from_hex(&text).or_else(|| from_pem(&text))
    };
    Ok(SigningKey::from_bytes(&*raw.ok_or_else(content)?))
}

/// Whether a key file asks for a passphrase.
pub fn is_encrypted(text: &str) -> bool {
    text.trim_start().starts_with(ENCRYPTED)
}

fn from_hex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut raw = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), &mut *raw).ok()?;
    Some(raw)
}

fn from_pem(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let (label, der) = SecretDocument::from_pem(text).ok()?;
    (label == "PRIVATE KEY").then(|| from_der(der.as_bytes())).flatten()
}

fn from_der(der: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let key = der.strip_prefix(&PKCS8_V1).or_else(|| der.strip_prefix(&PKCS8_V2))?;
    key.get(..32)?.try_into().ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
