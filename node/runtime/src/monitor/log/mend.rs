//! Mends the end of a log that a power cut has torn.
//!
//! File systems may leave a file longer than what was written to it, with zeroes in place of the
//! rest, and a line may have come in half. The zeroes are cut off; the next line begins a new one.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// Read at once, from the end backwards.
const PORTION: u64 = 4096;

/// Leaves the file empty or with a whole last line, and returns its length.
pub fn mend(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let mut end = length;
    let mut last = b'\n';
    let mut buffer = [0_u8; PORTION as usize];
    while end > 0 {
        let start = end.saturating_sub(PORTION);
        let portion = buffer.get_mut(..(end - start) as usize).unwrap_or_default();
        file.read_exact_at(portion, start)?;
        if let Some(at) = portion.iter().rposition(|byte| *byte != 0) {
            last = portion.get(at).copied().unwrap_or_default();
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < length {
        file.set_len(end)?;
    }
    if last == b'\n' {
        return Ok(end);
    }
    file.write_all(b"\n")?;
    Ok(end + 1)
}
