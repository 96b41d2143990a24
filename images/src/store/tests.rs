use std::collections::BTreeSet;

use tempfile::TempDir;

use super::*;
use crate::pack::{Output, PackOptions, pack};

struct Bench {
    folder: TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "run as root: sudo -E cargo nextest run");
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    /// An image that holds `content`; `label` makes another image of the same layer.
    fn image(&self, name: Option<&str>, content: &str, label: &str) -> Digest {
        let root = self.folder.path().join("root");
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("file"), content).unwrap();
        let options = PackOptions {
            reference: name.map(str::to_owned),
            labels: [("label".to_owned(), label.to_owned())].into(),
            created: Some(0),
            ..PackOptions::default()
        };
        pack(&root, &options, Output::Store(&self.store)).unwrap().digest
    }

    fn layer_count(&self) -> usize {
        fs::read_dir(self.store.layers()).unwrap().count()
    }
}

fn unused(_: &Digest) -> bool {
    false
}

#[test]
fn an_image_is_found_by_name_by_digest_and_by_a_beginning_of_it() {
    let bench = Bench::new();
    let digest = bench.image(Some("sensor:1.0"), "a", "");
    let hex = digest.hex();
    for reference in [
        "sensor:1.0",
        "docker.io/library/sensor:1.0",
        &digest.to_string(),
        &format!("sensor@{digest}"),
        &hex,
        &hex[..6],
        &format!("sha256:{}", &hex[..12]),
        &hex[..12].to_uppercase(),
    ] {
        let found = bench.store.resolve(reference).unwrap_or_else(|e| panic!("{reference}: {e}"));
        assert_eq!(found.digest, digest, "{reference}");
    }
    for reference in ["sensor", "sensor:2", "quay.io/sensor:1.0", &hex[..5], "ffffffffffff"] {
        let error = bench.store.resolve(reference).unwrap_err().to_string();
        assert!(error.contains("skerry image import"), "{reference}: {error}");
    }
    assert!(bench.store.resolve("No Name!").unwrap_err().to_string().contains("sensor:1.0"));
}

#[test]
fn a_name_moves_to_the_newer_image_and_the_older_stays_by_digest() {
    let bench = Bench::new();
    let old = bench.image(Some("sensor"), "a", "");
    let new = bench.image(Some("sensor"), "b", "");
    assert_eq!(bench.store.resolve("sensor").unwrap().digest, new);
    assert_eq!(bench.store.resolve(&old.to_string()).unwrap().names, [""; 0]);
    bench.store.tag(&old.to_string(), "sensor").unwrap();
    assert_eq!(bench.store.resolve("sensor").unwrap().digest, old);
    bench.store.tag("sensor", "sensor:stable").unwrap();
    assert_eq!(bench.store.resolve("sensor").unwrap().names, ["sensor:latest", "sensor:stable"]);
}

#[test]
fn a_power_cut_while_a_name_moves_leaves_it_at_the_newer_image() {
    let bench = Bench::new();
    let old = bench.image(Some("sensor"), "a", "");
    let path = bench.store.index_dir().join(record::file_name(&old));
    let before = fs::read(&path).unwrap();
    let new = bench.image(Some("sensor"), "b", "");
    // The older record had not been written again when the power went.
    fs::write(&path, before).unwrap();
    assert_eq!(bench.store.resolve("sensor").unwrap().digest, new);
    let names: BTreeSet<_> = bench.store.list().unwrap().into_iter().map(|r| r.names).collect();
    assert_eq!(names, [vec![], vec!["sensor:latest".to_owned()]].into());
}

#[test]
fn removing_takes_names_first_then_the_image_and_only_layers_that_nobody_needs() {
    let bench = Bench::new();
    let one = bench.image(Some("one"), "shared", "1");
    let two = bench.image(Some("two"), "shared", "2");
    assert_ne!(one, two);
    assert_eq!(bench.layer_count(), 1);
    bench.store.tag("one", "uno").unwrap();
    let removed = bench.store.remove("one", &unused).unwrap();
    assert_eq!((removed.names, removed.image), (vec!["one:latest".to_owned()], None));
    let removed = bench.store.remove("uno", &unused).unwrap();
    assert_eq!((removed.image, removed.freed.layers.len()), (Some(one), 0));
    assert!(bench.store.image(&two).unwrap().layers[0].join("file").exists());
    let removed = bench.store.remove(&two.hex()[..12], &unused).unwrap();
    assert_eq!((removed.image, removed.freed.layers.len()), (Some(two), 1));
    assert!(removed.freed.bytes > 6);
    assert_eq!(bench.layer_count(), 0);
    assert_eq!(fs::read_dir(bench.store.blobs()).unwrap().count(), 0);
}

#[test]
fn an_image_in_use_is_not_removed_and_not_pruned() {
    let bench = Bench::new();
    let digest = bench.image(None, "a", "");
    let error = bench.store.remove(&digest.to_string(), &|d| *d == digest).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    assert_eq!(bench.store.prune(&|d| *d == digest).unwrap(), Freed::default());
    assert!(bench.store.has(&digest));
    let freed = bench.store.prune(&unused).unwrap();
    assert_eq!((freed.images, freed.layers.len(), freed.blobs), (vec![digest], 1, 2));
    assert!(!bench.store.has(&digest));
}

#[test]
fn pruning_keeps_named_images_and_clears_what_crashes_left() {
    let bench = Bench::new();
    let digest = bench.image(Some("kept"), "a", "");
    let left = bench.store.layers().join("0".repeat(64));
    fs::create_dir(&left).unwrap();
    fs::write(left.join("f"), "123").unwrap();
    fs::create_dir(bench.store.temporary().join("1-0")).unwrap();
    let damaged = bench.store.index_dir().join(format!("{}.json", "1".repeat(64)));
    fs::write(&damaged, [0; 100]).unwrap();
    assert_eq!(bench.store.list().unwrap().len(), 1, "a damaged record hides no other");
    let freed = bench.store.prune(&unused).unwrap();
    assert_eq!((freed.layers.len(), freed.bytes, freed.damaged), (1, 3, 1));
    assert!(bench.store.has(&digest) && !damaged.exists());
    assert_eq!(fs::read_dir(bench.store.temporary()).unwrap().count(), 0);
}

#[test]
fn damage_on_disk_is_named_and_mended_by_importing_again() {
    let bench = Bench::new();
    let digest = bench.image(Some("sensor"), "a", "");
    let record = bench.store.resolve("sensor").unwrap();
    let config = bench.store.blobs().join(record.config.hex());
    fs::write(&config, [0; 50]).unwrap();
    let error = bench.store.image(&digest).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    bench.image(Some("sensor"), "a", "");
    bench.store.image(&digest).unwrap();
    fs::remove_dir_all(bench.store.layer(&record.layers[0])).unwrap();
    let error = bench.store.image(&digest).unwrap_err();
    assert!(matches!(error, StoreError::LayerMissing { .. }), "{error}");
    assert!(!bench.store.has(&digest));
    bench.image(Some("sensor"), "a", "");
    assert!(bench.store.has(&digest));
}

#[test]
fn an_emptied_layer_is_noticed_and_mended_by_importing_again() {
    let bench = Bench::new();
    let inner = bench.folder.path().join("root/inner/folder");
    fs::create_dir_all(&inner).unwrap();
    fs::write(inner.join("deep"), "some more text").unwrap();
    let digest = bench.image(Some("sensor"), "a", "");
    let other = bench.image(Some("other"), "a", "shares the layer");
    let layer = bench.store.layer(&bench.store.resolve("sensor").unwrap().layers[0]);
    let damages: [&dyn Fn(); 3] = [
        &|| fs::remove_file(layer.join("inner/folder/deep")).unwrap(),
        &|| {
            fs::remove_dir_all(&layer).unwrap();
            fs::create_dir(&layer).unwrap();
        },
        &|| fs::write(layer.join("file"), "").unwrap(),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        assert!(bench.store.has(&digest), "{number}");
        damage();
        assert!(!bench.store.has(&digest) && !bench.store.has(&other), "{number}");
        let error = bench.store.image(&digest).unwrap_err();
        assert!(matches!(error, StoreError::LayerDamaged { .. }), "{error}");
        assert!(error.to_string().contains("import the image again"), "{error}");
        bench.image(Some("other"), "a", "shares the layer");
        assert!(bench.store.has(&digest) && bench.store.has(&other), "{number}");
        assert_eq!(fs::read_to_string(layer.join("inner/folder/deep")).unwrap(), "some more text");
    }
    assert_eq!(bench.layer_count(), 2, "what is left of the old one waits");
    bench.store.prune(&unused).unwrap();
    assert_eq!(bench.layer_count(), 1);
}

#[test]
fn a_record_of_an_earlier_version_is_good_for_a_layer_that_holds_anything() {
    let bench = Bench::new();
    let digest = bench.image(Some("sensor"), "a", "");
    let path = bench.store.index_dir().join(record::file_name(&digest));
    let mut old: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let gone = old["layers"][0].as_object_mut().unwrap().remove("witnesses");
    assert_eq!(gone.unwrap()[0]["path"], "file");
    fs::write(&path, old.to_string()).unwrap();
    assert!(bench.store.has(&digest));
    let layer = bench.store.layer(&bench.store.resolve("sensor").unwrap().layers[0]);
    fs::remove_file(layer.join("file")).unwrap();
    assert!(!bench.store.has(&digest));
    bench.image(Some("sensor"), "a", "");
    assert!(bench.store.has(&digest));
}

#[test]
fn a_watcher_of_the_index_sees_an_image_arrive_by_one_rename() {
    let bench = Bench::new();
    let folder = bench.store.index_dir();
    let watch = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::NONBLOCK).unwrap();
    let flags = rustix::fs::inotify::WatchFlags::MOVED_TO
        | rustix::fs::inotify::WatchFlags::CREATE
        | rustix::fs::inotify::WatchFlags::MODIFY;
    rustix::fs::inotify::add_watch(&watch, &folder, flags).unwrap();
    let digest = bench.image(Some("sensor"), "a", "");
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut events = rustix::fs::inotify::Reader::new(watch, &mut buffer);
    let mut seen = Vec::new();
    while let Ok(event) = events.next() {
        let name = event.file_name().unwrap().to_str().unwrap();
        seen.push((event.events(), name.to_owned()));
    }
    let expected = (rustix::fs::inotify::ReadFlags::MOVED_TO, record::file_name(&digest));
    assert_eq!(seen, [expected]);
}
