//! OLPC canonical JSON: the bytes that a TUF signature covers.
//!
//! Decides the one spelling of a JSON value: members sorted by code point, no spaces, only `"` and
//! `\` escaped, whole numbers only. It must never map two different values to one spelling: the
//! typed view is read from the value, so a collision would be a way to change what was signed. For
//! that reason text is *not* brought to Unicode NFC, which TUF's reference implementation does not
//! do either. Next: `envelope`.

use serde_json::Value;

/// A number with a fraction or an exponent, which canonical JSON does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the number {number} is not a whole one, and canonical JSON has no other")]
pub struct NotCanonical {
    number: String,
}

/// The canonical bytes of `value`.
pub(super) fn canonical(value: &Value) -> Result<Vec<u8>, NotCanonical> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Ok(out)
}

/// Recursion is as deep as the value, and `serde_json` parses at most 128 levels.
fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            if !number.is_u64() && !number.is_i64() {
                return Err(NotCanonical { number: number.to_string().chars().take(40).collect() });
            }
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (i, (name, item)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_text(name, out);
                out.push(b':');
                write(item, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' || byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
