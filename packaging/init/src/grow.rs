//! Grows the data partition to the end of the disk, and gives it an identifier of its own: the effects of
//! what `gpt.rs` plans.
//!
//! Runs at every boot, before the partition is mounted, and does nothing when there is nothing to do.
//! It writes to the partition table alone, flushing after each write.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::block::{self, Partition};
use crate::gpt::{Growth, Guid, SECTOR, Table};
use crate::tell::{Level, tell};
use crate::trouble::{Doing, Trouble, invalid};

/// Whether it grew.
///
/// # Errors
/// The disk cannot be read or written, or has no whole table.
pub fn grow(sys: &Path, data: &Partition) -> Result<bool, Trouble> {
    let node = data.disk_node();
    let object = node.display();
    let sectors = block::sectors(sys, &data.disk).unwrap_or_default();
    if block::block_size(sys, &data.disk) != Some(SECTOR) {
        return Err(invalid("grow the partitions of", object, "its sectors are not of 512 bytes"));
    }
    let disk = File::options().read(true).write(true).open(&node).doing("open", object)?;
    let Some(growth) =
        plan(&disk, data.number, sectors).doing("read the table of", node.display())?
    else {
        return Ok(false);
    };
    for write in &growth.writes {
        disk.write_all_at(&write.bytes, write.sector * SECTOR)
            .and_then(|()| disk.sync_all())
            .doing("write the table of", node.display())?;
    }
    resize(&disk, data.number, &growth).doing("tell the kernel the new size of", &data.device)?;
    tell(Level::Info, format!("{} is now {} MiB", data.device, (growth.length * SECTOR) >> 20));
    Ok(true)
}

/// The identifier of a partition, as the boot loader writes it.
pub fn id(sys: &Path, partition: &Partition) -> Option<String> {
    let disk = File::open(partition.disk_node()).ok()?;
    let sectors = block::sectors(sys, &partition.disk)?;
    Table::read(sectors, &mut reader(&disk)).ok()?.id(partition.number)
}

fn reader(disk: &File) -> impl FnMut(u64, u64) -> Option<Vec<u8>> {
    |sector: u64, count: u64| {
        let mut bytes = vec![0; usize::try_from(count.min(4096) * SECTOR).ok()?];
        disk.read_exact_at(&mut bytes, sector.checked_mul(SECTOR)?).ok()?;
        Some(bytes)
    }
}

fn plan(disk: &File, number: u32, sectors: u64) -> Result<Option<Growth>, std::io::Error> {
    let mut read = reader(disk);
    let damaged = !Table::first_is_whole(&mut read);
    let table = Table::read(sectors, &mut read).map_err(std::io::Error::other)?;
    let own = table.is_anybodys(number).then(fresh).transpose()?;
    table.grow(number, sectors, damaged, own).map_err(std::io::Error::other)
}

/// Two random identifiers.
fn fresh() -> Result<[Guid; 2], std::io::Error> {
    let mut guids = [Guid::default(); 2];
    let mut source = File::open("/dev/urandom")?;
    for guid in &mut guids {
        source.read_exact(guid)?;
        // What says of a GUID that it is random.
        guid[7] = guid[7] & 0x0f | 0x40;
        guid[8] = guid[8] & 0x3f | 0x80;
    }
    Ok(guids)
}

/// `struct blkpg_ioctl_arg` and `struct blkpg_partition` of the kernel's `blkpg.h`.
#[repr(C)]
struct Request {
    operation: i32,
    flags: i32,
    length: i32,
    data: *const PartitionRequest,
}

#[repr(C)]
struct PartitionRequest {
    start: i64,
    length: i64,
    number: i32,
    names: [u8; 128],
}

const RESIZE_PARTITION: i32 = 3;

#[allow(unsafe_code, missing_docs, reason = "the macro makes an unsafe function")]
mod call {
    nix::ioctl_write_ptr_bad!(blkpg, nix::request_code_none!(0x12, 105), super::Request);
}

fn resize(disk: &File, number: u32, growth: &Growth) -> nix::Result<()> {
    let bytes = |sectors: u64| i64::try_from(sectors * SECTOR).unwrap_or(i64::MAX);
    let data = PartitionRequest {
        start: bytes(growth.start),
        length: bytes(growth.length),
        number: i32::try_from(number).unwrap_or_default(),
        names: [0; 128],
    };
    let length = i32::try_from(size_of::<PartitionRequest>()).unwrap_or_default();
    let request = Request { operation: RESIZE_PARTITION, flags: 0, length, data: &raw const data };
    // SAFETY: both structures are laid out as the kernel's header says, and outlive the call.
    #[allow(unsafe_code, reason = "an ioctl without a safe wrapper")]
    unsafe {
        call::blkpg(disk.as_raw_fd(), &raw const request)?;
    }
    Ok(())
}
