use std::fs as std_fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use tar::{EntryType, Header};
use tempfile::TempDir;

use super::*;

/// A tar stream, written byte by byte: builders refuse to write what attackers do.
#[derive(Default)]
struct Stream(Vec<u8>);

impl Stream {
    fn entry(mut self, kind: EntryType, path: &str, link: &str, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, path, "", content.as_bytes())
    }

    fn folder(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", b"")
    }

    fn symlink(self, path: &str, to: &str) -> Self {
        self.entry(EntryType::Symlink, path, to, b"")
    }

    fn hard_link(self, path: &str, to: &str) -> Self {
        self.entry(EntryType::Link, path, to, b"")
    }

    fn pax(self, key: &str, value: &str) -> Self {
        let rest = format!(" {key}={value}\n");
        let length =
            (1..6).map(|d| rest.len() + d).find(|l| l.to_string().len() + rest.len() == *l);
        let record = format!("{}{rest}", length.unwrap());
        self.entry(EntryType::XHeader, "pax", "", record.as_bytes())
    }
}

/// A layer's folder, with a victim beside it that no layer may touch.
struct Bench {
    _folder: TempDir,
    layer: PathBuf,
    victim: PathBuf,
}

impl Bench {
    fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "run as root: sudo -E cargo nextest run");
        let folder = tempfile::tempdir().unwrap();
        let (layer, victim) = (folder.path().join("layer"), folder.path().join("victim"));
        std_fs::create_dir(&layer).unwrap();
        std_fs::create_dir(&victim).unwrap();
        std_fs::write(victim.join("secret"), "secret").unwrap();
        Self { _folder: folder, layer, victim }
    }

    fn unpack(&self, stream: &Stream) -> Result<Unpacked, UnpackError> {
        self.unpack_within(stream, &Limits::default())
    }

    fn unpack_within(&self, stream: &Stream, limits: &Limits) -> Result<Unpacked, UnpackError> {
        let whole = [stream.0.as_slice(), &[0; 1024]].concat();
        unpack(whole.as_slice(), &self.layer, limits)
    }

    /// Whatever came of an attack, the victim is as it was.
    fn victim_is_untouched(&self) {
        let names: Vec<_> =
            std_fs::read_dir(&self.victim).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["secret"]);
        let secret = self.victim.join("secret");
        assert_eq!(std_fs::read_to_string(&secret).unwrap(), "secret");
        let meta = std_fs::metadata(&secret).unwrap();
        assert_eq!(meta.nlink(), 1);
        assert_eq!(meta.mode() & 0o7777, 0o644);
    }

    fn meta(&self, path: &str) -> std_fs::Metadata {
        std_fs::symlink_metadata(self.layer.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    fn is_opaque(&self, path: &str) -> bool {
        let mut value = [0; 4];
        let name = "trusted.overlay.opaque";
        let got = rustix::fs::getxattr(self.layer.join(path), name, &mut value);
        got == Ok(1) && value.first() == Some(&b'y')
    }

    fn is_whiteout(&self, path: &str) -> bool {
        let meta = self.meta(path);
        meta.file_type().is_char_device() && meta.rdev() == 0
    }

    fn has(&self, path: &str) -> bool {
        std_fs::symlink_metadata(self.layer.join(path)).is_ok()
    }
}

#[test]
fn attack_dot_dot_in_a_path_is_refused() {
    for path in ["../victim/new", "a/../../victim/new", "/../victim/new", ".."] {
        let bench = Bench::new();
        let error = bench.unpack(&Stream::default().file(path, "x")).unwrap_err();
        assert!(matches!(error, UnpackError::Escape { .. }), "{error}");
        assert!(error.to_string().contains(path), "{error}");
        bench.victim_is_untouched();
    }
}

#[test]
fn attack_an_absolute_path_lands_inside_the_layer() {
    let bench = Bench::new();
    let path = bench.victim.join("new").display().to_string();
    bench.unpack(&Stream::default().file(&path, "x")).unwrap();
    bench.victim_is_untouched();
    assert!(bench.has(path.trim_start_matches('/')));
}

#[test]
fn attack_a_file_through_a_relative_symlink_out_stays_inside() {
    let bench = Bench::new();
    let stream = Stream::default().symlink("out", "../victim").file("out/secret", "overwritten");
    let _ = bench.unpack(&stream);
    bench.victim_is_untouched();
}

#[test]
fn attack_a_file_through_an_absolute_symlink_stays_inside() {
    let bench = Bench::new();
    let victim = bench.victim.display().to_string();
    let stream = Stream::default().symlink("out", &victim).file("out/secret", "overwritten");
    let _ = bench.unpack(&stream);
    bench.victim_is_untouched();
}

#[test]
fn attack_a_file_over_a_symlink_replaces_the_symlink() {
    let bench = Bench::new();
    let secret = bench.victim.join("secret").display().to_string();
    let stream = Stream::default().symlink("f", &secret).file("f", "mine");
    bench.unpack(&stream).unwrap();
    bench.victim_is_untouched();
    assert_eq!(std_fs::read_to_string(bench.layer.join("f")).unwrap(), "mine");
}

#[test]
fn attack_a_folder_over_a_symlink_does_not_change_what_it_points_at() {
    let bench = Bench::new();
    let victim = bench.victim.display().to_string();
    let stream = Stream::default().symlink("d", &victim).folder("d").file("d/x", "");
    bench.unpack(&stream).unwrap();
    bench.victim_is_untouched();
    assert!(bench.meta("d").is_dir());
}

#[test]
fn attack_symlinks_in_a_chain_and_in_a_circle() {
    let bench = Bench::new();
    let stream = Stream::default()
        .folder("a")
        .symlink("a/up", "..")
        .symlink("b", "a/up/../../victim")
        .file("b/secret", "overwritten");
    let _ = bench.unpack(&stream);
    bench.victim_is_untouched();
    let bench = Bench::new();
    let stream = Stream::default().symlink("a", "b").symlink("b", "a").file("a/x", "");
    let error = bench.unpack(&stream).unwrap_err();
    assert!(error.to_string().contains("circle"), "{error}");
}

#[test]
fn attack_a_hard_link_to_the_outside_is_refused() {
    for link in ["../victim/secret", "a/../../victim/secret"] {
        let bench = Bench::new();
        let error = bench.unpack(&Stream::default().hard_link("f", link)).unwrap_err();
        assert!(matches!(error, UnpackError::Escape { .. }), "{error}");
        bench.victim_is_untouched();
    }
    let bench = Bench::new();
    let secret = bench.victim.join("secret").display().to_string();
    assert!(bench.unpack(&Stream::default().hard_link("f", &secret)).is_err());
    bench.victim_is_untouched();
}

#[test]
fn attack_a_hard_link_through_a_symlink_out_then_written_over() {
    let bench = Bench::new();
    let victim = bench.victim.display().to_string();
    let stream =
        Stream::default().symlink("out", &victim).hard_link("f", "out/secret").file("f", "x");
    let _ = bench.unpack(&stream);
    bench.victim_is_untouched();
    let bench = Bench::new();
    let secret = bench.victim.join("secret").display().to_string();
    let stream = Stream::default().symlink("s", &secret).hard_link("f", "s").file("f", "x");
    bench.unpack(&stream).unwrap();
    bench.victim_is_untouched();
}

#[test]
fn attack_whiteouts_reach_nothing_outside() {
    for path in [".wh...", ".wh..", ".wh."] {
        let bench = Bench::new();
        let error = bench.unpack(&Stream::default().file(path, "")).unwrap_err();
        assert!(matches!(error, UnpackError::Escape { .. }), "{path}: {error}");
    }
    let bench = Bench::new();
    let stream = Stream::default().symlink("out", "../victim").file("out/.wh.secret", "");
    let _ = bench.unpack(&stream);
    bench.victim_is_untouched();
}

#[test]
fn attack_device_spam_hits_its_bound() {
    let bench = Bench::new();
    let mut stream = Stream::default();
    for n in 0..1100 {
        stream = stream.entry(EntryType::Char, &format!("null{n}"), "", b"");
    }
    let error = bench.unpack(&stream).unwrap_err().to_string();
    assert!(error.contains("1024 device nodes"), "{error}");
}

#[test]
fn attack_entry_spam_deep_folders_and_long_folder_names_hit_their_bounds() {
    let bench = Bench::new();
    let mut stream = Stream::default();
    for n in 0..20 {
        stream = stream.file(&format!("f{n}"), "");
    }
    let limits = Limits { entries: 10, ..Limits::default() };
    let error = bench.unpack_within(&stream, &limits).unwrap_err().to_string();
    assert!(error.contains("10 entries"), "{error}");

    let deep = Stream::default().pax("path", &"d/".repeat(200)).file("x", "");
    let error = bench.unpack(&deep).unwrap_err().to_string();
    assert!(error.contains("one in another"), "{error}");

    let limits = Limits { folder_names: 100, ..Limits::default() };
    let long = Stream::default().folder(&"n".repeat(60)).folder(&"m".repeat(60));
    let error = bench.unpack_within(&long, &limits).unwrap_err().to_string();
    assert!(error.contains("folder names"), "{error}");

    let long = Stream::default().pax("path", &"p".repeat(5000)).file("x", "");
    assert!(bench.unpack(&long).unwrap_err().to_string().contains("one path"));
}

#[test]
fn attack_attributes_of_the_host_are_not_set() {
    let bench = Bench::new();
    let stream = Stream::default()
        .pax("SCHILY.xattr.trusted.overlay.redirect", "/etc")
        .folder("d")
        .pax("SCHILY.xattr.user.overlay.opaque", "y")
        .folder("e")
        .pax("SCHILY.xattr.user.note", "kept")
        .file("f", "");
    bench.unpack(&stream).unwrap();
    let mut value = [0; 16];
    let get = |path: &str, name: &str, value: &mut [u8]| {
        rustix::fs::getxattr(bench.layer.join(path), name, value)
    };
    assert!(get("d", "trusted.overlay.redirect", &mut value).is_err());
    assert!(get("e", "user.overlay.opaque", &mut value).is_err());
    assert_eq!(get("f", "user.note", &mut value), Ok(4));
}

#[test]
fn attack_a_zero_byte_in_a_path_is_refused() {
    let bench = Bench::new();
    let error = bench.unpack(&Stream::default().pax("path", "a\0b").file("x", "")).unwrap_err();
    assert!(matches!(error, UnpackError::Escape { .. }), "{error}");
}

#[test]
fn attack_a_stream_cut_off_inside_a_file_is_an_error() {
    let bench = Bench::new();
    let stream = Stream::default().file("f", &"x".repeat(3000));
    let cut = &stream.0[..1500];
    let error = unpack(cut, &bench.layer, &Limits::default()).unwrap_err();
    assert!(matches!(error, UnpackError::Truncated { size: 3000, .. }), "{error}");
}

#[test]
fn whiteouts_hide_the_layers_below_in_whatever_order_they_come() {
    let bench = Bench::new();
    let stream = Stream::default()
        .file("a/.wh.gone", "")
        .file(".wh.replaced", "")
        .file("replaced", "new")
        .file("kept", "new")
        .file(".wh.kept", "")
        .file(".wh.folder", "")
        .file("folder/x", "")
        .folder("later/")
        .file(".wh.later", "")
        .folder("opaque/")
        .file("opaque/.wh..wh..opq", "")
        .file("aufs/.wh..wh.plnk", "");
    bench.unpack(&stream).unwrap();
    assert!(bench.is_whiteout("a/gone"));
    assert!(bench.meta("replaced").is_file() && bench.meta("kept").is_file());
    assert!(bench.is_opaque("folder") && bench.has("folder/x"), "it hides the folder below");
    assert!(bench.is_opaque("later") && bench.is_opaque("opaque"));
    assert!(!bench.is_opaque("a"));
    assert!(!bench.has("aufs/.wh..wh.plnk") && !bench.has("opaque/.wh..wh..opq"));
}

#[test]
fn a_later_entry_replaces_an_earlier_one_of_any_kind() {
    let bench = Bench::new();
    let stream = Stream::default()
        .file("a/b/c", "1")
        .symlink("s", "a")
        .file("a", "now a file")
        .folder("s")
        .file("f", "1")
        .folder("f")
        .file("f/x", "2")
        .file("g", "1")
        .file("g", "2");
    bench.unpack(&stream).unwrap();
    assert_eq!(std_fs::read_to_string(bench.layer.join("a")).unwrap(), "now a file");
    assert!(bench.meta("s").is_dir() && bench.meta("f").is_dir() && bench.has("f/x"));
    assert_eq!(std_fs::read_to_string(bench.layer.join("g")).unwrap(), "2");
}

#[test]
fn folders_listed_after_their_children_get_their_mode_and_time() {
    let bench = Bench::new();
    bench.unpack(&Stream::default().file("d/e/f", "x").folder("d/e/").folder("./")).unwrap();
    for path in ["d/e", ""] {
        assert_eq!(bench.meta(path).mtime(), 1_000_000_000, "{path}");
        assert_eq!(bench.meta(path).mode() & 0o7777, 0o755);
    }
    assert_eq!(bench.meta("d/e/f").mtime(), 1_000_000_000);
}

#[test]
fn devices_pipes_links_and_symlinked_folders_are_made() {
    let bench = Bench::new();
    let stream = Stream::default()
        .entry(EntryType::Char, "null", "", b"")
        .entry(EntryType::Block, "disk", "", b"")
        .entry(EntryType::Fifo, "pipe", "", b"")
        .folder("run")
        .folder("var")
        .symlink("var/run", "/run")
        .file("var/run/pid", "1")
        .file("one", "same")
        .hard_link("two", "./one")
        .hard_link("one", "two")
        .hard_link("three", "/one");
    bench.unpack(&stream).unwrap();
    assert_eq!(bench.meta("null").rdev(), rustix::fs::makedev(1, 3));
    assert!(bench.meta("disk").file_type().is_block_device());
    assert!(bench.meta("pipe").file_type().is_fifo());
    assert_eq!(std_fs::read_to_string(bench.layer.join("run/pid")).unwrap(), "1");
    assert_eq!(bench.meta("three").ino(), bench.meta("one").ino());
    assert_eq!(bench.meta("two").nlink(), 3);
}
