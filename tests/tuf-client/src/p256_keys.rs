//! ECDSA on P-256, for suites whose repositories sign with it.
//!
//! Decides whether a signature is such a key's. It is here and nowhere else: the product speaks ed25519
//! alone, and `tests/hygiene.rs` holds that this library is not below it.

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use skerry_core::trust::OtherKey;
use skerry_core::trust::metadata::Key;

/// The key, when it is one of P-256 in PEM or, as older repositories have it, in hexadecimal.
pub fn read(key: &Key) -> Option<OtherKey> {
    let kind = matches!(key.keytype.as_str(), "ecdsa" | "ecdsa-sha2-nistp256");
    if !kind || key.scheme != "ecdsa-sha2-nistp256" {
        return None;
    }
    let text = key.keyval.get("public")?.as_str()?;
    let key = match VerifyingKey::from_public_key_pem(text) {
        Ok(key) => key,
        Err(_) => VerifyingKey::from_sec1_bytes(&hex::decode(text).ok()?).ok()?,
    };
    Some(OtherKey { value: key.to_sec1_point(false).as_bytes().to_vec(), verify })
}

fn verify(value: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) =
        (VerifyingKey::from_sec1_bytes(value), DerSignature::try_from(signature))
    else {
        return false;
    };
    key.verify(message, &signature).is_ok()
}

#[cfg(test)]
mod tests;
