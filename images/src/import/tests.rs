use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

/// A layout whose every part can be bent.
struct Forge {
    _folder: TempDir,
    layout: PathBuf,
    store: Store,
    layer: Vec<u8>,
    diff_id: Digest,
    /// What the manifest says of the layer: digest and size.
    promised: Option<(Digest, u64)>,
}

fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, content).unwrap();
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

impl Forge {
    fn new(tar: &[u8]) -> Self {
        assert!(rustix::process::geteuid().is_root(), "run as root: sudo -E cargo nextest run");
        let folder = tempfile::tempdir().unwrap();
        let layout = folder.path().join("layout");
        let store = Store::open(&folder.path().join("store")).unwrap();
        let (layer, diff_id) = (gzip(tar), Digest::of(tar));
        Self { _folder: folder, layout, store, layer, diff_id, promised: None }
    }

    fn blob(&self, bytes: &[u8]) -> String {
        let digest = Digest::of(bytes);
        fs::write(self.layout.join(blob_path(&digest)), bytes).unwrap();
        format!("\"digest\":\"{digest}\",\"size\":{}", bytes.len())
    }

    fn write(&self) {
        fs::create_dir_all(self.layout.join("blobs/sha256")).unwrap();
        let (digest, size) =
            self.promised.unwrap_or_else(|| (Digest::of(&self.layer), self.layer.len() as u64));
        fs::write(self.layout.join(blob_path(&digest)), &self.layer).unwrap();
        let platform = Platform::this_machine();
        let config = self.blob(
            format!(
                r#"{{"architecture":"{}","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
                platform.architecture, self.diff_id
            )
            .as_bytes(),
        );
        let manifest = self.blob(
            format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json",{config}}},
                "layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{digest}","size":{size}}}]}}"#
            )
            .as_bytes(),
        );
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json",{manifest},
            "annotations":{{"org.opencontainers.image.ref.name":"forged:1"}}}}]}}"#
        );
        fs::write(self.layout.join("index.json"), index).unwrap();
    }

    fn tar(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_dir_all(".", &self.layout).unwrap();
        builder.into_inner().unwrap()
    }

    /// The same from a folder, a file and a stream.
    fn sources(&self) -> [(Source, &'static str); 3] {
        let file = self.layout.with_extension("tar");
        fs::write(&file, self.tar()).unwrap();
        let stream = Box::new(std::io::Cursor::new(self.tar()));
        [
            (Source::Path(self.layout.clone()), "folder"),
            (Source::Path(file), "file"),
            (Source::Reader(stream), "stream"),
        ]
    }

    /// Imports in every way; each must fail, and leave nothing.
    fn refused(&self, options: &ImportOptions) -> Vec<ImportError> {
        self.write();
        let mut errors = Vec::new();
        for (source, way) in self.sources() {
            match self.store.import(source, options) {
                Ok(imported) => panic!("{way}: {imported:?}"),
                Err(error) => errors.push(error),
            }
            self.nothing_is_visible();
        }
        errors
    }

    fn nothing_is_visible(&self) {
        assert_eq!(self.store.list().unwrap(), []);
        for folder in [self.store.layers(), self.store.temporary(), self.store.blobs()] {
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{}", folder.display());
        }
    }
}

#[test]
fn an_honest_forge_is_imported_in_every_way() {
    let forge = Forge::new(&tar_of("f", b"content"));
    forge.write();
    for (source, way) in forge.sources() {
        let imported = forge.store.import(source, &ImportOptions::default());
        assert_eq!(imported.unwrap()[0].names, ["forged:1"], "{way}");
    }
}

#[test]
fn attack_wrong_layer_digest_is_refused() {
    let mut forge = Forge::new(&tar_of("f", b"content"));
    forge.promised = Some((Digest::of(b"other"), forge.layer.len() as u64));
    for error in forge.refused(&ImportOptions::default()) {
        assert!(matches!(error, ImportError::Digest { .. }), "{error}");
    }
}

#[test]
fn attack_wrong_diff_id_is_refused() {
    let mut forge = Forge::new(&tar_of("f", b"content"));
    forge.diff_id = Digest::of(b"other");
    for error in forge.refused(&ImportOptions::default()) {
        let ImportError::Digest { expected, .. } = error else { panic!("{error}") };
        assert_eq!(expected, forge.diff_id);
    }
}

#[test]
fn attack_wrong_layer_size_is_refused() {
    let mut forge = Forge::new(&tar_of("f", b"content"));
    forge.promised = Some((Digest::of(&forge.layer), 7));
    for error in forge.refused(&ImportOptions::default()) {
        assert!(matches!(error, ImportError::Size { expected: 7, .. }), "{error}");
    }
}

#[test]
fn attack_bytes_behind_the_tars_end_are_covered_by_the_digest() {
    let mut forge = Forge::new(&tar_of("f", b"content"));
    let longer = [tar_of("f", b"content"), b"hidden".repeat(1000)].concat();
    forge.layer = gzip(&longer);
    for error in forge.refused(&ImportOptions::default()) {
        assert!(matches!(error, ImportError::Digest { .. }), "{error}");
    }
}

#[test]
fn attack_a_flipped_bit_in_a_layer_is_told_as_damage_and_not_as_a_bad_tar() {
    let mut forge = Forge::new(&tar_of("f", &b"content".repeat(3000)));
    forge.promised = Some((Digest::of(&forge.layer), forge.layer.len() as u64));
    let middle = forge.layer.len() / 2;
    forge.layer[middle] ^= 0x10;
    for error in forge.refused(&ImportOptions::default()) {
        assert!(matches!(error, ImportError::Digest { .. }), "{error}");
    }
}

#[test]
fn attack_a_truncated_layer_is_refused() {
    let mut forge = Forge::new(&tar_of("f", &b"content".repeat(3000)));
    let half = forge.layer.len() / 2;
    forge.layer.truncate(half);
    for error in forge.refused(&ImportOptions::default()) {
        assert!(matches!(error, ImportError::Layer { .. }), "{error}");
    }
}

#[test]
fn attack_a_gzip_bomb_hits_the_bound_on_unpacked_bytes() {
    let forge = Forge::new(&tar_of("zeros", &vec![0; 200 << 20]));
    assert!(forge.layer.len() < 2 << 20, "it is a bomb");
    let limits = Limits { bytes: 50 << 20, ..Limits::default() };
    for error in forge.refused(&ImportOptions { limits, ..ImportOptions::default() }) {
        assert!(error.to_string().contains("52428800 unpacked bytes"), "{error}");
    }
}

#[test]
fn attack_a_stream_larger_than_the_spool_is_refused() {
    let forge = Forge::new(&tar_of("f", b"content"));
    forge.write();
    let bomb = gzip(&[forge.tar(), vec![0; 50 << 20]].concat());
    let options = ImportOptions { spool_bytes: 10 << 20, ..ImportOptions::default() };
    let source = Source::Reader(Box::new(std::io::Cursor::new(bomb)));
    let error = forge.store.import(source, &options).unwrap_err();
    assert!(matches!(error, ImportError::Limit { .. }), "{error}");
    forge.nothing_is_visible();
}

#[test]
fn attack_a_truncated_archive_is_refused() {
    let forge = Forge::new(&tar_of("f", &b"content".repeat(30_000)));
    forge.write();
    let whole = forge.tar();
    for cut in [100, 600, 2000, whole.len() / 2] {
        let file = forge.layout.with_extension("cut");
        fs::write(&file, &whole[..cut]).unwrap();
        let stream = Box::new(std::io::Cursor::new(whole[..cut].to_vec()));
        for source in [Source::Path(file), Source::Reader(stream)] {
            assert!(forge.store.import(source, &ImportOptions::default()).is_err());
            forge.nothing_is_visible();
        }
    }
}

#[test]
fn attack_a_manifest_changed_after_signing_is_refused() {
    let forge = Forge::new(&tar_of("f", b"content"));
    forge.write();
    let index = fs::read_to_string(forge.layout.join("index.json")).unwrap();
    let start = index.find("sha256:").unwrap() + 7;
    let manifest = forge.layout.join("blobs/sha256").join(&index[start..start + 64]);
    let text = fs::read_to_string(&manifest).unwrap().replace(".v1.tar+gzip", ".v2.tar+gzip");
    fs::write(&manifest, text).unwrap();
    for (source, way) in forge.sources() {
        let error = forge.store.import(source, &ImportOptions::default()).unwrap_err();
        assert!(matches!(error, ImportError::Digest { .. }), "{way}: {error}");
        forge.nothing_is_visible();
    }
}

#[test]
fn attack_a_pipe_or_a_device_in_place_of_a_blob_does_not_block() {
    let forge = Forge::new(&tar_of("f", b"content"));
    forge.write();
    let blob = forge.layout.join(blob_path(&Digest::of(&forge.layer)));
    fs::remove_file(&blob).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    let at = rustix::fs::CWD;
    rustix::fs::mknodat(at, &blob, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let (done, wait) = std::sync::mpsc::channel();
    let (store, layout) = (forge.store.clone(), forge.layout.clone());
    std::thread::spawn(move || {
        done.send(store.import(Source::Path(layout), &ImportOptions::default()).is_err())
    });
    assert_eq!(wait.recv_timeout(Duration::from_secs(20)), Ok(true));
}

#[test]
fn attack_docker_layers_named_outside_the_folder_are_not_opened() {
    let forge = Forge::new(&tar_of("f", b"content"));
    fs::create_dir(&forge.layout).unwrap();
    let secret = tar_of("secret", b"secret");
    fs::write(forge.layout.with_file_name("secret.tar"), &secret).unwrap();
    let config = format!(
        r#"{{"architecture":"{}","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        Platform::this_machine().architecture,
        Digest::of(&secret)
    );
    fs::write(forge.layout.join("config.json"), config).unwrap();
    let manifest = r#"[{"Config":"config.json","Layers":["../secret.tar"]}]"#;
    fs::write(forge.layout.join("manifest.json"), manifest).unwrap();
    let source = Source::Path(forge.layout.clone());
    let error = forge.store.import(source, &ImportOptions::default()).unwrap_err();
    assert!(matches!(error, ImportError::Missing { .. }), "{error}");
    forge.nothing_is_visible();
}

#[test]
fn what_is_no_image_is_told_so() {
    let forge = Forge::new(&[]);
    let tar = forge.layout.with_extension("tar");
    fs::write(&tar, tar_of("holiday.jpg", b"photo")).unwrap();
    let error = forge.store.import(Source::Path(tar), &ImportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("is no image"), "{error}");
    let error = forge
        .store
        .import(Source::Path("/nowhere/x.tar".into()), &ImportOptions::default())
        .unwrap_err();
    assert!(error.to_string().contains("/nowhere/x.tar"), "{error}");
    let text = Source::Reader(Box::new(std::io::Cursor::new(b"hello ".repeat(200))));
    let error = forge.store.import(text, &ImportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("the stream cannot be read as a tar"), "{error}");
}

#[test]
fn an_image_for_another_machine_is_refused_with_the_way_out() {
    let forge = Forge::new(&tar_of("f", b"content"));
    forge.write();
    let other = ImportOptions { platform: "linux/mips".parse().unwrap(), ..Default::default() };
    let error = forge.store.import(Source::Path(forge.layout.clone()), &other).unwrap_err();
    assert!(error.to_string().contains("--platform"), "{error}");
}

#[test]
fn a_stalled_stream_holds_no_other_import_up() {
    let forge = Forge::new(&tar_of("f", b"content"));
    forge.write();
    let (reader, writer) = std::io::pipe().unwrap();
    let store = forge.store.clone();
    let (inside, entered) = std::sync::mpsc::channel();
    let stalled = std::thread::spawn(move || {
        struct Telling(std::io::PipeReader, std::sync::mpsc::Sender<()>);
        impl Read for Telling {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let _ = self.1.send(());
                self.0.read(buffer)
            }
        }
        let source = Source::Reader(Box::new(Telling(reader, inside)));
        store.import(source, &ImportOptions::default()).is_err()
    });
    entered.recv().unwrap();
    let other = forge.store.import(Source::Path(forge.layout.clone()), &ImportOptions::default());
    assert_eq!(other.unwrap().len(), 1);
    let unfinished = fs::read_dir(forge.store.temporary()).unwrap().count();
    assert_eq!(unfinished, 1, "the stalled import was not swept away");
    drop(writer);
    assert!(stalled.join().unwrap());
}
