use super::*;

/// A log of writes `(sector, bytes of one letter, sectors)` and flushes (`None`).
fn log(path: &Path, entries: &[Option<(u64, u8, u64)>]) {
    let sector = |numbers: &[u64]| {
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        bytes.resize(512, 0);
        bytes
    };
    let mut bytes = sector(&[MAGIC, 1, 0, 512]);
    for entry in entries {
        match entry {
            None => bytes.extend(sector(&[0, 0, FLUSH, 0])),
            Some((at, letter, count)) => {
                bytes.extend(sector(&[*at, *count, 0, count * 512]));
                bytes.resize(bytes.len() + (count * 512) as usize, *letter);
            }
        }
    }
    fs::write(path, bytes).unwrap();
}

/// The first letters of the sectors of what is left.
fn left(cache: &mut Cache, entries: &[Option<(u64, u8, u64)>]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::write(place("before"), vec![b'.'; 8 * 512]).unwrap();
    fs::write(place("disk"), vec![b'x'; 8 * 512]).unwrap();
    log(&place("log"), entries);
    settle(cache, &place("before"), &place("log"), &place("disk")).unwrap();
    fs::read(place("disk")).unwrap().chunks(512).map(|sector| char::from(sector[0])).collect()
}

#[test]
fn what_was_flushed_is_left_and_of_the_rest_a_part() {
    let entries = [Some((0, b'a', 2)), None, Some((2, b'b', 1)), Some((4, b'c', 3))];
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let disk = left(&mut Cache::Volatile(Dice::new(seed, 0)), &entries);
        assert!(disk.starts_with("aa"), "flushed: {disk}");
        assert_eq!(&disk[7..], ".", "nobody wrote there: {disk}");
        seen.insert(disk);
    }
    for whole in ["aa......", "aab.....", "aa..ccc.", "aab.ccc.", "aa..c...", "aab.cc.."] {
        assert!(seen.contains(whole), "{whole} is among {seen:?}");
    }
}

#[test]
fn a_disk_that_lies_loses_what_was_flushed() {
    let entries = [Some((0, b'a', 1)), None];
    let lost = (0..50)
        .filter(|seed| left(&mut Cache::Lying(Dice::new(*seed, 0)), &entries).starts_with('.'));
    assert!(lost.count() > 5);
}

#[test]
fn a_log_that_ends_in_the_middle_or_never_began_counts_as_far_as_it_goes() {
    let mut cache = Cache::Volatile(Dice::new(1, 1));
    assert_eq!(left(&mut cache, &[]), "........");
    assert_eq!(left(&mut cache, &[Some((1, b'a', 1)), None]), ".a......");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    log(&file, &[Some((1, b'a', 1)), Some((2, b'b', 4))]);
    let length = fs::metadata(&file).unwrap().len();
    File::options().write(true).open(&file).unwrap().set_len(length - 512).unwrap();
    assert_eq!(entries(&file).unwrap().len(), 1);
    fs::write(&file, []).unwrap();
    assert_eq!(entries(&file).unwrap().len(), 0);
}
