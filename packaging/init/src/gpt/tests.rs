use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

use super::*;

const IMAGE: u64 = 64 * MIB_SECTORS;
const DISK: u64 = 300 * MIB_SECTORS + 77;

/// A disk as the build makes it, then put on a larger one.
fn disk() -> (tempfile::TempDir, File) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(IMAGE * SECTOR).unwrap();
    let table = "label: gpt\nstart=2048,size=8M,name=skerry-boot\nsize=16M,name=skerry-a\nname=skerry-data\n";
    let mut child = Command::new("sfdisk")
        .args(["--quiet", "--no-reread", "--no-tell-kernel"])
        .arg(&path)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("sfdisk (apt-get install fdisk)");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), table.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    file.set_len(DISK * SECTOR).unwrap();
    (folder, file)
}

fn read(file: &File) -> impl FnMut(u64, u64) -> Option<Vec<u8>> {
    let file = file.try_clone().unwrap();
    move |sector, count| {
        let mut bytes = vec![0; usize::try_from(count * SECTOR).unwrap()];
        file.read_exact_at(&mut bytes, sector * SECTOR).ok()?;
        Some(bytes)
    }
}

fn table(file: &File) -> Result<Table, GptError> {
    Table::read(DISK, &mut read(file))
}

fn apply(file: &File, write: &Write, most: usize) {
    file.write_all_at(&write.bytes[..most.min(write.bytes.len())], write.sector * SECTOR).unwrap();
}

#[test]
fn the_last_partition_reaches_the_end_and_stays_there() {
    let (folder, file) = disk();
    let before = table(&file).unwrap();
    let growth = before.grow(3, DISK, false, None).unwrap().unwrap();
    for write in &growth.writes {
        apply(&file, write, usize::MAX);
    }
    let after = table(&file).unwrap();
    let (start, end) = after.partition(3).unwrap();
    assert_eq!((start, end - start + 1), (growth.start, growth.length));
    assert_eq!((end + 1) % MIB_SECTORS, 0);
    assert!(end > 299 * MIB_SECTORS - 2, "{end}");
    assert_eq!(after.partition(1), before.partition(1));
    assert_eq!(after.partition(2), before.partition(2));
    assert_eq!(after.grow(3, DISK, false, None).unwrap(), None, "a second boot has nothing to do");
    let check = Command::new("sfdisk").arg("--verify").arg(folder.path().join("disk")).output();
    let check = check.unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && said.contains("No errors"), "{said}");
}

#[test]
fn a_power_cut_at_any_sector_leaves_a_whole_table() {
    let (_folder, file) = disk();
    let before = table(&file).unwrap();
    let growth = before.grow(3, DISK, false, None).unwrap().unwrap();
    for write in &growth.writes {
        // Sectors are written whole, in order; the cut comes after any of them.
        for most in (0..=write.bytes.len()).step_by(512) {
            apply(&file, write, most);
            let cut = table(&file).expect("a whole table");
            assert_eq!(cut.partition(1), before.partition(1));
            assert_eq!(cut.partition(2), before.partition(2));
            let (start, _) = cut.partition(3).unwrap();
            assert_eq!(start, growth.start);
        }
    }
}

#[test]
fn a_cut_boot_is_finished_by_the_next() {
    let (_folder, file) = disk();
    let growth = table(&file).unwrap().grow(3, DISK, false, None).unwrap().unwrap();
    // The copy is there, and the first table's entries are half written.
    apply(&file, &growth.writes[0], usize::MAX);
    apply(&file, &growth.writes[1], usize::MAX);
    apply(&file, &growth.writes[2], 512);
    let found = table(&file).unwrap();
    assert_eq!(Table::read_at(1, &mut read(&file)), None, "the first is damaged");
    let again = found.grow(3, DISK, true, None).unwrap().unwrap();
    for write in &again.writes {
        apply(&file, write, usize::MAX);
    }
    assert!(Table::read_at(1, &mut read(&file)).is_some());
    assert_eq!(table(&file).unwrap().grow(3, DISK, false, None).unwrap(), None);
}

#[test]
fn a_disk_gets_identifiers_of_its_own_once() {
    let (folder, file) = disk();
    let image = "5b3e8c1a-0f4d-4e55-9d0b-736b65727273";
    let path = folder.path().join("disk");
    let mut set = Command::new("sfdisk");
    let set = set
        .args(["--quiet", "--no-reread", "--no-tell-kernel"])
        .arg("--part-uuid")
        .arg(&path)
        .args(["3", image])
        .status()
        .unwrap();
    assert!(set.success());
    let before = table(&file).unwrap();
    assert_eq!(before.id(3).as_deref(), Some(image));
    assert!(before.is_anybodys(3) && !before.is_anybodys(2));
    let own = Some([[7; 16], [9; 16]]);
    for write in &before.grow(3, DISK, false, own).unwrap().unwrap().writes {
        apply(&file, write, usize::MAX);
        let id = table(&file).expect("a whole table").id(3).unwrap();
        assert!(id == image || id == "09090909-0909-0909-0909-090909090909", "{id}");
    }
    let after = table(&file).unwrap();
    assert!(!after.is_anybodys(3));
    assert_eq!(after.id(2), before.id(2));
    let said = Command::new("sfdisk").arg("--disk-id").arg(&path).output().unwrap().stdout;
    let said = String::from_utf8_lossy(&said).to_lowercase();
    assert_eq!(said.trim(), "07070707-0707-0707-0707-070707070707");
    // A disk that does not grow any more gets them too.
    assert!(after.grow(3, DISK, false, own).unwrap().is_some());
    assert_eq!(after.grow(3, DISK, false, None).unwrap(), None);
}

#[test]
fn only_the_last_partition_may_grow() {
    let (_folder, file) = disk();
    let table = table(&file).unwrap();
    assert_eq!(table.grow(2, DISK, false, None), Err(GptError::NotLast));
    assert_eq!(table.grow(9, DISK, false, None), Err(GptError::Missing));
    assert_eq!(table.grow(3, IMAGE, false, None).unwrap(), None, "a disk of the image's size");
    assert_eq!(table.grow(3, 100, false, None).unwrap(), None, "a disk that shrank is left alone");
}

#[test]
fn rubbish_is_no_table() {
    let mut zeros = |_, count| Some(vec![0; usize::try_from(count * SECTOR).unwrap()]);
    assert_eq!(Table::read(DISK, &mut zeros), Err(GptError::None));
    assert_eq!(Table::read(0, &mut |_, _| None), Err(GptError::None));
    let (_folder, file) = disk();
    let mut huge = read(&file)(1, 1).unwrap();
    huge[80..84].fill(0xff);
    file.write_all_at(&huge, SECTOR).unwrap();
    assert_eq!(table(&file), Err(GptError::None), "the copy stays where the small disk ended");
}
