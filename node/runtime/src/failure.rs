//! Turns an error and its causes into one plain sentence and, where there is one, its errno.
//!
//! Pure. Used by the monitor for `failed.json`.

use std::error::Error;

/// The error and every cause, outermost first, joined by colons; a cause that the text before it
/// already ends in is not said twice.
pub fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let part = cause.to_string();
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        next = cause.source();
    }
    text
}

/// The errno of the innermost cause that has one.
pub fn errno(error: &(dyn Error + 'static)) -> Option<i32> {
    let mut found = None;
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            found = io.raw_os_error().or(found);
        } else if let Some(errno) = cause.downcast_ref::<rustix::io::Errno>() {
            found = Some(errno.raw_os_error());
        } else if let Some(errno) = cause.downcast_ref::<nix::errno::Errno>() {
            found = Some(*errno as i32);
        }
        next = cause.source();
    }
    found
}

/// Cuts a text to at most `max` bytes, at a character.
pub fn cut(text: &mut String, max: usize) {
    let end = text.char_indices().map(|(at, character)| at + character.len_utf8());
    let end = end.take_while(|end| *end <= max).last().unwrap_or(0);
    text.truncate(end);
}
