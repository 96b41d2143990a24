//! The cache of a disk, when the power goes: what of the last writes is left.
//!
//! Killing QEMU leaves every write that it had taken. A real disk may lose what was not flushed, in any
//! order, and tear a write in two. So QEMU logs all writes and flushes of a boot (its `blklogwrites`),
//! and what such a disk would hold is put together from the disk before and a part of the log. The log
//! has the format of Linux' dm-log-writes.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::dice::Dice;

/// What a disk does with a write.
#[derive(Debug, Clone)]
pub enum Cache {
    /// It is on the disk when the machine is told so.
    Through,
    /// It is on the disk once the machine has flushed; before that, chance decides.
    Volatile(Dice),
    /// It may be lost even after a flush. No system can stand that: it shows that losses are seen.
    Lying(Dice),
}

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;
/// The length of one entry's head on its own, and what heads and data are rounded up to.
const SECTOR: u64 = 512;

/// One entry of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Where it was written to, in sectors.
    sector: u64,
    /// How many sectors.
    count: u64,
    flags: u64,
    /// Where its bytes are in the log.
    data: u64,
}

/// Makes `disk` what it would hold after the power went, from `before`, which is the disk before this
/// boot, and the log of this boot.
pub(super) fn settle(cache: &mut Cache, before: &Path, log: &Path, disk: &Path) -> io::Result<()> {
    let (dice, honest) = match cache {
        Cache::Through => return Ok(()),
        Cache::Volatile(dice) => (dice, true),
        Cache::Lying(dice) => (dice, false),
    };
    let entries = entries(log)?;
    let flushed = entries.iter().rposition(|entry| entry.flags & FLUSH != 0).map_or(0, |at| at + 1);
    let flushed = if honest { flushed } else { 0 };
    // Some cuts lose nearly everything, some nearly nothing.
    let kept = dice.below(101);
    fs::rename(before, disk)?;
    let mut target = File::options().write(true).open(disk)?;
    let mut source = File::open(log)?;
    for (number, entry) in entries.iter().enumerate() {
        let mut count = entry.count;
        if number >= flushed {
            if !dice.percent(kept) {
                continue;
            }
            if count > 1 && dice.percent(10) {
                count = dice.between(1, count - 1);
            }
        }
        apply(*entry, count, &mut source, &mut target)?;
    }
    Ok(())
}

fn apply(entry: Entry, count: u64, source: &mut File, target: &mut File) -> io::Result<()> {
    target.seek(SeekFrom::Start(entry.sector * SECTOR))?;
    if entry.flags & DISCARD != 0 {
        return io::copy(&mut io::repeat(0).take(count * SECTOR), target).map(drop);
    }
    source.seek(SeekFrom::Start(entry.data))?;
    io::copy(&mut source.take(count * SECTOR), target)?;
    target.flush()
}

/// All entries of a log that nobody closed: the count in its head may be behind.
fn entries(log: &Path) -> io::Result<Vec<Entry>> {
    let length = fs::metadata(log)?.len();
    let mut file = BufReader::new(File::open(log)?);
    let mut found = Vec::new();
    let [magic, _, _, _] = head(&mut file)?;
    if magic != MAGIC {
        // Not a single write was logged.
        return Ok(found);
    }
    let mut place = SECTOR;
    while place + SECTOR <= length {
        file.seek(SeekFrom::Start(place))?;
        let [sector, count, flags, size] = head(&mut file)?;
        if [sector, count, flags, size] == [0; 4] {
            break;
        }
        let data = place + SECTOR;
        let held = if flags & DISCARD == 0 { count * SECTOR } else { 0 };
        if data + held > length {
            break;
        }
        found.push(Entry { sector, count, flags, data });
        place = data + held;
    }
    Ok(found)
}

/// Four numbers at the beginning of a sector.
fn head(file: &mut impl Read) -> io::Result<[u64; 4]> {
    let mut numbers = [0; 4];
    for number in &mut numbers {
        let mut bytes = [0; 8];
        match file.read_exact(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok([0; 4]),
            result => result?,
        }
        *number = u64::from_le_bytes(bytes);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests;
