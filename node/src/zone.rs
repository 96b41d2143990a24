//! Time zones, by the files that the device has (Debian's tzdata, or that of whoever made its system).
//!
//! Read anew for each question, which is rare: so that new rules count when the files are replaced. jiff's own
//! database would do the same with a cache, and search all folders first.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use jiff::tz::TimeZone;

/// Where systems keep them.
const FOLDERS: [&str; 3] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/etc/zoneinfo"];
/// The largest of them has four thousand.
const FILE_MAX: u64 = 65_536;

/// The zone of a name such as `Europe/Oslo`; none if this device does not know it.
pub fn find(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    FOLDERS.iter().find_map(|folder| read(Path::new(folder), name))
}

fn read(folder: &Path, name: &str) -> Option<TimeZone> {
    // Names come from documents, and must not lead out of the folder.
    if name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return None;
    }
    let mut bytes = Vec::new();
    let _ = File::open(folder.join(name)).ok()?.take(FILE_MAX).read_to_end(&mut bytes).ok()?;
    TimeZone::tzif(name, &bytes).ok()
}

#[cfg(test)]
mod tests;
