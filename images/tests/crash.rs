//! An import that is killed at any moment leaves an image whole, or not there at all.
//!
//! The test runs itself as a child process, kills it with SIGKILL at moments spread over the length
//! of an import, and looks at the store after each.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use skerry_images::{ImportOptions, Source, Store};

const ROUNDS: u32 = 30;
const STORE: &str = "SKERRY_CRASH_STORE";
const IMAGE: &str = "SKERRY_CRASH_IMAGE";
const TEST: &str = "killing_an_import_leaves_no_half_image";

/// In memory where that can be had: a kill loses nothing that a disk would keep, and other
/// programs' unwritten bytes are not waited for.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// A `docker save` archive with three layers of many files.
fn make_image(folder: &Path) -> PathBuf {
    let script = r#"
        mkdir image
        for layer in a b c; do
            mkdir $layer
            i=0; while [ $i -lt 300 ]; do echo $layer$i > $layer/$layer$i; i=$((i+1)); done
            head -c 1500000 /dev/urandom > $layer/big-$layer
            tar -cf image/$layer.tar -C $layer .
        done
        id() { echo "\"sha256:$(sha256sum < image/$1.tar | cut -d' ' -f1)\""; }
        case $(uname -m) in x86_64) arch=amd64;; aarch64) arch=arm64;; *) arch=arm;; esac
        echo "{\"architecture\":\"$arch\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[$(id a),$(id b),$(id c)]}}" > image/config.json
        echo '[{"Config":"config.json","RepoTags":["crash:1"],"Layers":["a.tar","b.tar","c.tar"]}]' > image/manifest.json
        tar -cf image.tar -C image ."#;
    let ran = Command::new("sh").arg("-euc").arg(script).current_dir(folder).status();
    assert!(ran.unwrap().success(), "apt-get install tar coreutils");
    folder.join("image.tar")
}

fn import(store: &Path, image: &Path, as_stream: bool) {
    let source = if as_stream {
        Source::Reader(Box::new(File::open(image).unwrap()))
    } else {
        Source::Path(image.to_owned())
    };
    Store::open(store).unwrap().import(source, &ImportOptions::default()).unwrap();
}

fn child(store: &Path, image: &Path, round: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST])
        .env(STORE, store)
        .env(IMAGE, image)
        .env("SKERRY_CRASH_STREAM", if round.is_multiple_of(2) { "yes" } else { "no" })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Every layer's files with their content, by the layer's folder name.
fn layers(store: &Path) -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let entries = |folder: &Path| {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect::<Vec<_>>()
    };
    let text = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    let content = |layer: &fs::DirEntry| {
        let files = entries(&layer.path());
        files.iter().map(|f| (text(f), fs::read(f.path()).unwrap())).collect()
    };
    entries(&store.join("layers")).iter().map(|layer| (text(layer), content(layer))).collect()
}

#[test]
fn killing_an_import_leaves_no_half_image() {
    if let (Some(store), Some(image)) = (std::env::var_os(STORE), std::env::var_os(IMAGE)) {
        let as_stream = std::env::var_os("SKERRY_CRASH_STREAM").is_some_and(|v| v == "yes");
        return import(Path::new(&store), Path::new(&image), as_stream);
    }
    assert!(rustix::process::geteuid().is_root(), "run as root: sudo -E cargo nextest run");
    let folder = scratch();
    let image = make_image(folder.path());
    let whole = folder.path().join("whole");
    let start = Instant::now();
    assert!(child(&whole, &image, 0).wait().unwrap().success());
    let length = start.elapsed();
    let expected = layers(&whole);
    assert_eq!(expected.len(), 3);

    let mut seen = BTreeMap::from([("nothing", 0), ("layers", 0), ("image", 0)]);
    let mut killed = 0;
    let disk = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        // On a disk, what becomes visible does so slowly enough to be caught in between.
        let in_between = round % 5 == 4;
        let folder = if in_between { &disk } else { &folder };
        let store = folder.path().join("store");
        let _ = fs::remove_dir_all(&store);
        let mut child = child(&store, &image, round);
        if in_between {
            wait_for_the_first_layer(&store, &mut child);
        } else {
            std::thread::sleep(length.mul_f64(f64::from(round) / f64::from(ROUNDS) * 1.1));
        }
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().signal() == Some(9));
        *seen.get_mut(look_at(&store, &expected)).unwrap() += 1;
        import(&store, &image, round % 3 == 0);
        assert_eq!(look_at(&store, &expected), "image", "round {round}");
        let left = fs::read_dir(store.join("images.tmp")).unwrap().count();
        assert_eq!(left, 0, "round {round}: what the crash left was swept");
    }
    assert!(seen["nothing"] > 0 && seen["layers"] > 0, "{seen:?}");
    assert!(killed >= ROUNDS / 2, "only {killed} of {ROUNDS} were killed while they worked");
    println!("killed {killed} of {ROUNDS}; found {seen:?}; a whole import takes {length:?}");
}

/// The moments in which things become visible are short: this finds them.
fn wait_for_the_first_layer(store: &Path, child: &mut Child) {
    let layers = store.join("layers");
    let is_there = || fs::read_dir(&layers).is_ok_and(|mut names| names.next().is_some());
    while !is_there() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
}

/// What a store shows; each thing that it shows must be whole.
fn look_at(store: &Path, expected: &BTreeMap<String, BTreeMap<String, Vec<u8>>>) -> &'static str {
    if !store.join("images").is_dir() || !store.join("layers").is_dir() {
        return "nothing";
    }
    let found = layers(store);
    for (name, files) in &found {
        assert!(expected.get(name) == Some(files), "layer {name} is not whole");
    }
    let opened = Store::open(store).unwrap();
    let records = opened.list().unwrap();
    for record in &records {
        assert_eq!(record.names, ["crash:1"]);
        let image = opened.image(&record.digest).unwrap();
        assert_eq!(image.layers.len(), 3);
        assert_eq!(opened.resolve("crash:1").unwrap().digest, record.digest);
    }
    let records_on_disk = fs::read_dir(store.join("images")).unwrap().count();
    assert_eq!(records_on_disk, records.len(), "no record is damaged");
    match (records.len(), found.len()) {
        (0, 0) => "nothing",
        (0, _) => "layers",
        _ => "image",
    }
}

#[test]
fn several_processes_import_the_same_image_at_once() {
    assert!(rustix::process::geteuid().is_root(), "run as root: sudo -E cargo nextest run");
    let folder = scratch();
    let image = make_image(folder.path());
    let store = folder.path().join("store");
    let mut children: Vec<_> = (0..6).map(|round| child(&store, &image, round)).collect();
    let deadline = Instant::now() + Duration::from_secs(120);
    for child in &mut children {
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the imports wait for each other for ever");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(layers(&store).len(), 3);
    assert_eq!(Store::open(&store).unwrap().list().unwrap().len(), 1);
}
