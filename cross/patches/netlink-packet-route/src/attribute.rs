//! Attributes: length and kind, two bytes each, then the value, filled up to four bytes (rtnetlink(7)).

use netlink_packet_core::DecodeError;

const HEAD: usize = 4;
/// The two highest bits of a kind are marks (nested, byte order).
const KIND: u16 = 0x3fff;

/// Puts one attribute at the end of a message.
pub(crate) fn push(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = (HEAD + value.len()) as u16;
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// The attributes of a message, by kind and value.
pub(crate) fn read(mut bytes: &[u8]) -> Result<Vec<(u16, &[u8])>, DecodeError> {
    let mut found = Vec::new();
    while let Some((head, _)) = bytes.split_first_chunk::<HEAD>() {
        let [a, b, c, d] = *head;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = bytes
            .get(HEAD..length)
            .ok_or_else(|| DecodeError::nla_invalid_length(bytes.len(), length))?;
        found.push((u16::from_ne_bytes([c, d]) & KIND, value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(found)
}

/// The fixed part before the attributes, and these.
pub(crate) fn split<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), DecodeError> {
    bytes.split_first_chunk::<N>().ok_or_else(|| DecodeError::buffer_too_small(bytes.len(), N))
}
