use std::collections::BTreeMap;

use super::*;

fn put(value: &str) -> [Change; 1] {
    [Change::put(Space::Local, "a", value)]
}

fn exports(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let exports = files.filter(|path| path.extension().is_some_and(|e| e == "json"));
    exports.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn what_was_not_answered_is_not_in_force_after_the_store_was_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).unwrap().store;
    store.commit(&put("1"), Durability::Durable).unwrap();
    let before = exports(folder.path());
    store.commit(&put("2"), Durability::Durable).unwrap();
    store.commit(&[Change::put(Space::Local, "b", "3")], Durability::Durable).unwrap();
    store.commit(&[Change::put(Space::Outbox, "o", "4")], Durability::Durable).unwrap();
    drop(store);
    // As if the disk had taken the database's part, and refused the exports'.
    for (path, content) in before {
        std::fs::write(path, content).unwrap();
    }
    let store = SledStore::open_again(folder.path()).unwrap();
    assert_eq!(store.get(Space::Local, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(store.get(Space::Local, b"b").unwrap(), None);
    assert_eq!(store.get(Space::Outbox, b"o").unwrap().as_deref(), Some(&b"4"[..]));
    store.commit(&put("5"), Durability::Durable).unwrap();
    assert_eq!(export::newest(folder.path()).unwrap().generation, 2);
}

#[test]
fn a_shut_store_is_read_from_its_export_and_says_what_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    drop({
        let store = SledStore::open(folder.path()).unwrap().store;
        store.commit(&put("1"), Durability::Durable).unwrap();
        store
    });
    let (store, notice) = HealingStore::open(folder.path(), Troubles::default()).unwrap();
    assert_eq!(notice, None);
    let why = StoreError::Disk { fault: Fault::Broken, why: "broken".into(), room: String::new() };
    *store.lock() = Inner::Shut(Shut::new(Fault::Broken, &why));
    assert_eq!(store.get(Space::Local, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(store.scan(Space::Local).unwrap(), [(b"a".to_vec(), b"1".to_vec())]);
    assert!(store.scan(Space::Outbox).is_err(), "unknown is not empty");
    let refused = store.commit(&put("2"), Durability::Durable).unwrap_err();
    assert!(refused.to_string().contains("broken"), "{refused}");
    assert!(store.mend());
    store.commit(&put("2"), Durability::Durable).unwrap();
    assert_eq!(store.get(Space::Local, b"a").unwrap().as_deref(), Some(&b"2"[..]));
}

#[test]
fn errors_of_the_disk_are_told_from_errors_of_what_is_on_it() {
    let of = |code| Fault::of(&std::io::Error::from_raw_os_error(code));
    let errno = |errno: rustix::io::Errno| errno.raw_os_error();
    assert_eq!(of(errno(rustix::io::Errno::NOSPC)), Some(Fault::Full));
    assert_eq!(of(errno(rustix::io::Errno::DQUOT)), Some(Fault::Full));
    assert_eq!(of(errno(rustix::io::Errno::ROFS)), Some(Fault::ReadOnly));
    assert_eq!(of(errno(rustix::io::Errno::IO)), Some(Fault::Broken));
    assert_eq!(of(errno(rustix::io::Errno::PERM)), Some(Fault::Broken));
    assert_eq!(of(errno(rustix::io::Errno::NOTDIR)), None);
    let invalid = std::io::Error::new(std::io::ErrorKind::InvalidData, "rubbish");
    assert_eq!(Fault::of(&invalid), None);
}
