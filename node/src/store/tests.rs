use super::memory::MemoryStore;
use super::sled::SledStore;
use super::*;

fn open(folder: &std::path::Path) -> (SledStore, Option<String>) {
    let opened = SledStore::open(folder).unwrap();
    (opened.store, opened.notice)
}

fn rows_come_back(store: &dyn Store) {
    let changes = [
        Change::put(Space::Local, "a", "1"),
        Change::put(Space::Local, "b", "2"),
        Change::put(Space::Outbox, "a", "3"),
    ];
    store.commit(&changes, Durability::Durable).unwrap();
    store.commit(&[Change::remove(Space::Local, "a")], Durability::Durable).unwrap();
    assert_eq!(store.scan(Space::Local).unwrap(), [(b"b".to_vec(), b"2".to_vec())]);
    assert_eq!(store.get(Space::Outbox, b"a").unwrap().as_deref(), Some(&b"3"[..]));
    assert_eq!(store.get(Space::Local, b"a").unwrap(), None);
}

#[test]
fn both_stores_keep_rows_apart_by_space() {
    rows_come_back(&MemoryStore::default());
    let folder = tempfile::tempdir().unwrap();
    rows_come_back(&open(folder.path()).0);
    let (again, notice) = open(folder.path());
    assert_eq!(again.get(Space::Local, b"b").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(notice, None);
}

#[test]
fn a_second_process_is_told_that_the_store_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path());
    let second = SledStore::open(folder.path());
    assert!(matches!(second, Err(StoreError::InUse { .. })));
}

#[test]
fn an_unfinished_snapshot_does_not_keep_the_store_shut() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    std::fs::write(folder.path().join("sled/snap.00000000000001A2.generating"), b"x").unwrap();
    assert_eq!(open(folder.path()).1, None);
}

fn with_one_wish(folder: &std::path::Path) {
    let (store, _) = open(folder);
    store.commit(&[Change::put(Space::Local, "a", "1")], Durability::Durable).unwrap();
}

#[test]
fn a_store_that_was_silently_emptied_is_made_again_from_its_export() {
    let folder = tempfile::tempdir().unwrap();
    with_one_wish(folder.path());
    std::fs::remove_dir_all(folder.path().join("sled")).unwrap();
    let (store, notice) = open(folder.path());
    assert_eq!(store.get(Space::Local, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert!(notice.unwrap().contains("generation 1"));
}

#[test]
fn a_damaged_store_is_made_again_from_its_export() {
    let folder = tempfile::tempdir().unwrap();
    with_one_wish(folder.path());
    let db = folder.path().join("sled/db");
    let size = std::fs::metadata(&db).unwrap().len();
    std::fs::write(&db, vec![0xAA; usize::try_from(size).unwrap()]).unwrap();
    let (store, notice) = open(folder.path());
    assert_eq!(store.get(Space::Local, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert!(notice.is_some());
    assert!(folder.path().join("sled.bad").exists());
}

#[test]
fn a_torn_export_is_passed_over_for_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path());
    for value in ["1", "2"] {
        store.commit(&[Change::put(Space::Local, "a", value)], Durability::Durable).unwrap();
    }
    drop(store);
    let newest = export::newest(folder.path()).unwrap();
    assert_eq!(newest.generation, 2);
    let path = folder.path().join("export-b.json");
    let mut torn = std::fs::read(&path).unwrap();
    torn.truncate(torn.len() - 3);
    std::fs::write(&path, torn).unwrap();
    assert_eq!(export::newest(folder.path()).unwrap().generation, 1);
}
