//! The partition table: reads it as the kernel does, and plans its growth to the end of the disk.
//!
//! Pure: bytes in, writes out. Its own code and not a library's, because the order of the writes is the
//! point: after every single one of them a reader finds a whole table (the kernel with `gpt` on its
//! command line takes the copy at the end of the disk when the first is damaged). Next: `grow.rs`.

/// A sector, as the table counts them.
pub const SECTOR: u64 = 512;
const MIB_SECTORS: u64 = (1 << 20) / SECTOR;
/// More entries than any sane table has.
const ENTRIES_MAX: u32 = 1024;
/// The header's first bytes.
const SIGNATURE: &[u8] = b"EFI PART";

/// Why a table cannot be read or grown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GptError {
    /// Neither the first header nor the one at the end is whole.
    #[error("there is no whole partition table")]
    None,
    /// The partition is not in it.
    #[error("the partition is not in the table")]
    Missing,
    /// Something lies behind the partition.
    #[error("another partition lies behind it")]
    NotLast,
}

/// A header with its entries, found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    header: Vec<u8>,
    entries: Vec<u8>,
}

/// Bytes to put at a sector. After each the disk must be flushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub sector: u64,
    /// What; whole sectors.
    pub bytes: Vec<u8>,
}

/// What growing takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// The writes, in order.
    pub writes: Vec<Write>,
    /// The first sector of the partition.
    pub start: u64,
    /// Its new length in sectors.
    pub length: u64,
}

/// An identifier, as it stands on the disk.
pub type Guid = [u8; 16];

/// What the identifiers of the image are known by: the same on every disk that it was flashed to.
const OF_THE_IMAGE: (usize, &[u8]) = (10, b"skerr");

/// Reads sectors: from, how many.
pub type Read<'a> = &'a mut dyn FnMut(u64, u64) -> Option<Vec<u8>>;

impl Table {
    /// The first table, else the copy in the disk's last sector.
    ///
    /// # Errors
    /// No place has a whole one.
    pub fn read(sectors: u64, read: Read<'_>) -> Result<Self, GptError> {
        Self::read_at(1, read)
            .or_else(|| Self::read_at(sectors.checked_sub(1)?, read))
            .ok_or(GptError::None)
    }

    /// Whether the first table needs no help from its copy.
    pub fn first_is_whole(read: Read<'_>) -> bool {
        Self::read_at(1, read).is_some()
    }

    fn read_at(sector: u64, read: Read<'_>) -> Option<Self> {
        let header = read(sector, 1)?;
        let size = u32_at(&header, 12)? as usize;
        if !header.starts_with(SIGNATURE) || !(92..=SECTOR as usize).contains(&size) {
            return None;
        }
        let mut checked = header.get(..size)?.to_vec();
        checked.get_mut(16..20)?.fill(0);
        let count = u32_at(&header, 80)?;
        let whole = crc32fast::hash(&checked) == u32_at(&header, 16)?
            && u64_at(&header, 24)? == sector
            && u32_at(&header, 84)? == 128
            && (1..=ENTRIES_MAX).contains(&count);
        if !whole {
            return None;
        }
        let bytes = u64::from(count) * 128;
        let mut entries = read(u64_at(&header, 72)?, bytes.div_ceil(SECTOR))?;
        entries.truncate(usize::try_from(bytes).ok()?);
        let same = crc32fast::hash(&entries) == u32_at(&header, 88)?;
        same.then_some(Self { header, entries })
    }

    /// The first and last sector of a partition, by its number from 1.
    pub fn partition(&self, number: u32) -> Option<(u64, u64)> {
        let at = usize::try_from(number).ok()?.checked_sub(1)? * 128;
        let entry = self.entries.get(at..at + 128)?;
        let used = entry.iter().take(16).any(|byte| *byte != 0);
        Some((u64_at(entry, 32)?, u64_at(entry, 40)?)).filter(|_| used)
    }

    /// A partition's identifier, as the boot loader writes it.
    pub fn id(&self, number: u32) -> Option<String> {
        let guid = self.guid(number)?;
        let hex = |bytes: &mut dyn Iterator<Item = &u8>| -> String {
            bytes.map(|byte| format!("{byte:02x}")).collect()
        };
        // The first three parts are numbers, and stand there with their last byte first.
        let parts = [
            hex(&mut guid.get(..4)?.iter().rev()),
            hex(&mut guid.get(4..6)?.iter().rev()),
            hex(&mut guid.get(6..8)?.iter().rev()),
            hex(&mut guid.get(8..10)?.iter()),
            hex(&mut guid.get(10..)?.iter()),
        ];
        Some(parts.join("-"))
    }

    /// Whether a partition still has the identifier that it has on every disk with the image.
    pub fn is_anybodys(&self, number: u32) -> bool {
        let (at, mark) = OF_THE_IMAGE;
        self.guid(number).and_then(|guid| guid.get(at..at + mark.len())) == Some(mark)
    }

    fn guid(&self, number: u32) -> Option<&[u8]> {
        let at = usize::try_from(number).ok()?.checked_sub(1)? * 128;
        self.entries.get(at + 16..at + 32)
    }

    /// Lets a partition, the last one, reach to the end of a disk of so many sectors, and gives disk and
    /// partition identifiers of their own, if there are any to give. `None` when it reaches there already,
    /// there is nothing to give, and both tables stand where they belong; `damaged` asks for them anyway.
    ///
    /// # Errors
    /// The partition is missing, or not the last.
    pub fn grow(
        &self,
        number: u32,
        sectors: u64,
        damaged: bool,
        own: Option<[Guid; 2]>,
    ) -> Result<Option<Growth>, GptError> {
        let (start, old_end) = self.partition(number).ok_or(GptError::Missing)?;
        let count = u32::try_from(self.entries.len() / 128).unwrap_or(u32::MAX);
        let behind = (1..=count).filter_map(|n| self.partition(n)).any(|(first, _)| first > start);
        if behind {
            return Err(GptError::NotLast);
        }
        let entry_sectors = (self.entries.len() as u64).div_ceil(SECTOR);
        let last = sectors.saturating_sub(1);
        let usable = last.saturating_sub(entry_sectors).saturating_sub(1);
        // Ends on a whole MiB; never shrinks.
        let end = ((usable + 1) / MIB_SECTORS * MIB_SECTORS).saturating_sub(1).max(old_end);
        let at_end =
            u64_at(&self.header, 32) == Some(last) || u64_at(&self.header, 24) == Some(last);
        if end > usable || (end == old_end && at_end && !damaged && own.is_none()) {
            return Ok(None);
        }
        let (mut header, mut entries) = (self.header.clone(), self.entries.clone());
        let at = (number as usize - 1) * 128;
        put(&mut entries, at + 40, &end.to_le_bytes());
        if let Some([disk, partition]) = own {
            put(&mut header, 56, &disk);
            put(&mut entries, at + 16, &partition);
        }
        let writes = writes(&header, &entries, last, usable);
        Ok(Some(Growth { writes, start, length: end - start + 1 }))
    }
}

/// The copy at the disk's end first, whole, while the first table still describes the disk as it was;
/// then the first table's entries, then its header.
fn writes(header: &[u8], entries: &[u8], last: u64, usable: u64) -> Vec<Write> {
    let mut padded = entries.to_vec();
    padded.resize(entries.len().next_multiple_of(SECTOR as usize), 0);
    let copy_at = last - (padded.len() as u64 / SECTOR);
    let copy = sealed(header, entries, [last, 1, usable, copy_at]);
    let first = sealed(header, entries, [1, last, usable, 2]);
    vec![
        Write { sector: copy_at, bytes: padded.clone() },
        Write { sector: last, bytes: copy },
        Write { sector: 2, bytes: padded },
        Write { sector: 1, bytes: first },
    ]
}

/// A header for one of the two places, with its checksums.
fn sealed(header: &[u8], entries: &[u8], [own, other, usable, table]: [u64; 4]) -> Vec<u8> {
    let mut header = header.to_vec();
    put(&mut header, 24, &own.to_le_bytes());
    put(&mut header, 32, &other.to_le_bytes());
    put(&mut header, 48, &usable.to_le_bytes());
    put(&mut header, 72, &table.to_le_bytes());
    put(&mut header, 88, &crc32fast::hash(entries).to_le_bytes());
    put(&mut header, 16, &[0; 4]);
    let size = u32_at(&header, 12).map_or(92, |size| size as usize);
    let sum = crc32fast::hash(header.get(..size).unwrap_or(&header));
    put(&mut header, 16, &sum.to_le_bytes());
    header
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
