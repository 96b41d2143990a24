//! The device's name on the network: what the configuration says, else one that it keeps for ever.
//!
//! The node takes the host name as its own when the configuration names no node, so a name that was made
//! is written down on the data partition before it is used.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::clock::write_aside;
use crate::device::Settings;
use crate::tell::{Level, tell};

/// The name: `hostname`, else the node's, else the one that was made before, else a new one.
pub fn choose(settings: &Settings, kept: &Path, sys: &Path) -> String {
    let wanted = [&settings.device.hostname, &settings.node];
    for name in wanted.into_iter().flatten() {
        match label(name) {
            Some(name) => return name,
            None => tell(Level::Warning, format!("'{name}' is no host name; passed over")),
        }
    }
    if let Some(name) = fs::read_to_string(kept).ok().and_then(|text| label(&text)) {
        return name;
    }
    let name = made_of(first_address(sys).unwrap_or_else(random));
    if let Err(error) = write_aside(kept, format!("{name}\n").as_bytes()) {
        tell(Level::Error, error);
    }
    name
}

/// Whether a name has to be made, for which the network cards should be there.
pub fn is_missing(settings: &Settings, kept: &Path) -> bool {
    settings.device.hostname.is_none() && settings.node.is_none() && !kept.exists()
}

/// A DNS label, in lower case.
pub fn label(text: &str) -> Option<String> {
    let name = text.trim().to_ascii_lowercase();
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let ends = !name.starts_with('-') && !name.ends_with('-');
    (letters && ends && (1..=63).contains(&name.len())).then_some(name)
}

fn made_of(seed: [u8; 6]) -> String {
    // The maker's half of an address is the same on many devices: all six bytes count.
    format!("skerry-{:08x}", crc32fast::hash(&seed))
}

/// The lowest address that a network card was made with.
fn first_address(sys: &Path) -> Option<[u8; 6]> {
    let cards = fs::read_dir(sys.join("class/net")).ok()?.flatten();
    let own = cards.filter(|card| card.path().join("device").exists()).filter_map(|card| {
        let read = |name| fs::read_to_string(card.path().join(name)).ok();
        // 0: burned in. Others were made up by the kernel, and change with each boot.
        let permanent = read("addr_assign_type")?.trim() == "0";
        parse_address(read("address")?.trim()).filter(|_| permanent)
    });
    own.min()
}

fn parse_address(text: &str) -> Option<[u8; 6]> {
    let parts: Result<Vec<u8>, _> = text.split(':').map(|p| u8::from_str_radix(p, 16)).collect();
    let address: [u8; 6] = parts.ok()?.try_into().ok()?;
    address.iter().any(|byte| *byte != 0).then_some(address)
}

fn random() -> [u8; 6] {
    let mut seed = [0; 6];
    let _ = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed));
    seed
}

#[cfg(test)]
mod tests;
