//! What other tools write is imported, and what is packed here is read by them.
//!
//! Real parts: skopeo, umoci, GNU tar, gzip, zstd, busybox and overlayfs. Run as root.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output as Ran, Stdio};

use skerry_images::{
    ImportError, ImportOptions, Imported, Output, PackOptions, Source, Store, pack,
};
use tempfile::TempDir;

/// Runs a command line, and fails loudly.
fn sh(folder: &Path, line: &str) -> Ran {
    let ran = Command::new("sh").arg("-euc").arg(line).current_dir(folder).output().unwrap();
    assert!(
        ran.status.success(),
        "{line}\n{}\nIf a tool is missing: apt-get install skopeo umoci busybox-static zstd tar",
        String::from_utf8_lossy(&ran.stderr)
    );
    ran
}

fn need_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "layers are unpacked with owners and devices: run the tests as root (sudo -E cargo nextest run)"
    );
}

/// An empty folder to work in, and a store.
fn bench() -> (TempDir, PathBuf, Store) {
    need_root();
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    (folder, work, store)
}

fn named(name: &str) -> ImportOptions {
    ImportOptions { reference: Some(name.to_owned()), ..ImportOptions::default() }
}

fn one(imported: Result<Vec<Imported>, ImportError>) -> Imported {
    let mut all = imported.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// An OCI layout `work/busy` of two layers, made by umoci: a busybox, and a change on top of it.
fn umoci_image(work: &Path) {
    sh(
        work,
        "umoci init --layout busy
         umoci new --image busy:1.0
         umoci unpack --image busy:1.0 bundle
         mkdir -p bundle/rootfs/bin bundle/rootfs/etc/old bundle/rootfs/tmp
         chmod 1777 bundle/rootfs/tmp
         cp /bin/busybox bundle/rootfs/bin/busybox
         ln bundle/rootfs/bin/busybox bundle/rootfs/bin/sh
         ln -s busybox bundle/rootfs/bin/echo
         echo gone > bundle/rootfs/etc/gone; echo stays > bundle/rootfs/etc/stays
         echo old > bundle/rootfs/etc/old/file
         chown 12:34 bundle/rootfs/etc/stays; chmod 640 bundle/rootfs/etc/stays
         umoci repack --image busy:1.0 bundle
         rm -rf bundle
         umoci unpack --image busy:1.0 bundle
         rm bundle/rootfs/etc/gone; rm -r bundle/rootfs/etc/old
         echo new > bundle/rootfs/etc/new
         umoci repack --image busy:1.0 bundle
         umoci config --image busy:1.0 --config.entrypoint /bin/echo --config.cmd hello \
            --config.env A=b --config.user 12:34 --config.workingdir /tmp \
            --config.stopsignal SIGINT --config.label a=b --config.exposedports 80/tcp",
    );
}

fn check_busy_layers(store: &Store, reference: &str) {
    let record = store.resolve(reference).unwrap();
    let image = store.image(&record.digest).unwrap();
    let [bottom, top] = image.layers.as_slice() else { panic!("{:?}", image.layers) };
    let meta = |path: PathBuf| fs::symlink_metadata(path).unwrap();
    let stays = meta(bottom.join("etc/stays"));
    assert_eq!((stays.uid(), stays.gid(), stays.mode() & 0o7777), (12, 34, 0o640));
    assert_eq!(meta(bottom.join("tmp")).mode() & 0o7777, 0o1777);
    assert_eq!(meta(bottom.join("bin/sh")).ino(), meta(bottom.join("bin/busybox")).ino());
    assert_eq!(fs::read_link(bottom.join("bin/echo")).unwrap(), Path::new("busybox"));
    let whiteout = meta(top.join("etc/gone"));
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
    assert_eq!(fs::read_to_string(top.join("etc/new")).unwrap(), "new\n");
}

#[test]
fn an_umoci_layout_is_imported_and_runs_over_overlayfs() {
    let (_folder, work, store) = bench();
    umoci_image(&work);
    let imported = one(store.import(Source::Path(work.join("busy")), &ImportOptions::default()));
    assert_eq!(imported.names, ["busy:1.0"]);
    assert_eq!((imported.layers_new, imported.layers_shared), (2, 0));
    check_busy_layers(&store, "busy:1.0");

    let image = store.image(&imported.digest).unwrap();
    let config = &image.config;
    assert_eq!(
        (&config.entrypoint[..], &config.cmd[..]),
        (&["/bin/echo".to_owned()][..], &["hello".to_owned()][..])
    );
    assert!(config.env.contains(&"A=b".to_owned()), "{:?}", config.env);
    assert_eq!(config.user.as_deref(), Some("12:34"));
    assert_eq!(config.working_dir.as_deref(), Some("/tmp"));
    assert_eq!(config.stop_signal.as_deref(), Some("SIGINT"));
    assert_eq!(config.exposed_ports, ["80/tcp"]);
    assert_eq!(config.labels.get("a").map(String::as_str), Some("b"));

    let lower: Vec<_> = image.layers.iter().rev().map(|l| l.display().to_string()).collect();
    let script = format!(
        "mkdir m
         mount -t overlay overlay -o lowerdir={} m
         trap 'umount m' EXIT
         test ! -e m/etc/gone; test ! -e m/etc/old
         cat m/etc/stays m/etc/new
         chroot m /bin/echo it runs",
        lower.join(":")
    );
    let ran = sh(&work, &script);
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "stays\nnew\nit runs\n");
}

#[test]
fn skopeo_archives_of_every_form_give_the_same_layers() {
    let (_folder, work, store) = bench();
    umoci_image(&work);
    sh(
        &work,
        "skopeo copy oci:busy:1.0 oci-archive:oci.tar:busy:2.0
         skopeo copy oci:busy:1.0 docker-archive:docker.tar:busy:3.0
         gzip -k oci.tar
         zstd -q docker.tar
         skopeo copy --dest-compress --dest-compress-format zstd oci:busy:1.0 oci:zst:4.0",
    );
    let base = one(store.import(Source::Path(work.join("busy")), &ImportOptions::default()));
    for (file, name) in [
        ("oci.tar", "busy:2.0"),
        ("oci.tar.gz", "busy:2.0"),
        ("docker.tar", "busy:3.0"),
        ("docker.tar.zst", "busy:3.0"),
        ("zst", "zst:4.0"),
    ] {
        let fresh = TempDir::new().unwrap();
        let fresh = Store::open(fresh.path()).unwrap();
        for store in [&store, &fresh] {
            let imported =
                one(store.import(Source::Path(work.join(file)), &ImportOptions::default()));
            assert_eq!(imported.names, [name], "{file}");
            let shared = if std::ptr::eq(store, &fresh) { 0 } else { 2 };
            assert_eq!(imported.layers_shared, shared, "{file}");
            check_busy_layers(store, name);
        }
        let stream = Source::Reader(Box::new(File::open(work.join(file)).unwrap()));
        if file != "zst" {
            let fresh = TempDir::new().unwrap();
            let fresh = Store::open(fresh.path()).unwrap();
            let imported = one(fresh.import(stream, &named("streamed")));
            assert_eq!(imported.names, ["streamed:latest"]);
            check_busy_layers(&fresh, "streamed");
        }
    }
    assert_eq!(store.image(&base.digest).unwrap().layers.len(), 2);
}

#[test]
fn a_docker_archive_gives_the_same_manifest_each_time_and_each_way() {
    let (_folder, work, store) = bench();
    umoci_image(&work);
    sh(
        &work,
        "skopeo copy oci:busy:1.0 docker-archive:d.tar:busy:3.0; mkdir d; tar -xf d.tar -C d",
    );
    let file = one(store.import(Source::Path(work.join("d.tar")), &ImportOptions::default()));
    let again = one(store.import(Source::Path(work.join("d")), &ImportOptions::default()));
    let stream = Source::Reader(Box::new(File::open(work.join("d.tar")).unwrap()));
    let streamed = one(store.import(stream, &ImportOptions::default()));
    assert_eq!(file.digest, again.digest);
    assert_eq!(file.digest, streamed.digest);
    assert_eq!(store.list().unwrap().len(), 1);
}

#[test]
fn a_multi_platform_index_gives_this_machines_image_and_keeps_the_indexs_digest() {
    let (_folder, work, store) = bench();
    sh(&work, "mkdir -p a b; echo amd > a/which; echo arm > b/which");
    for (folder, platform) in [("a", "linux/amd64"), ("b", "linux/arm64")] {
        let options = PackOptions { platform: platform.parse().unwrap(), ..PackOptions::default() };
        pack(&work.join(folder), &options, Output::OciDir(work.join(format!("{folder}.oci"))))
            .unwrap();
    }
    // Join the two as a build tool does: one index blob, which index.json points at.
    sh(
        &work,
        r#"mkdir both; cp -r a.oci/* both; cp b.oci/blobs/sha256/* both/blobs/sha256/
           m() { sed -e 's/.*"manifests":\[//' -e 's/\]}$//' "$1"; }
           printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s,%s]}' \
              "$(m a.oci/index.json)" "$(m b.oci/index.json)" > index
           d=$(sha256sum < index | cut -d' ' -f1); cp index both/blobs/sha256/$d
           printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"both:1"}}]}' \
              $d $(stat -c %s index) > both/index.json; echo sha256:$d > digest"#,
    );
    let index = fs::read_to_string(work.join("digest")).unwrap();
    let arm =
        ImportOptions { platform: "linux/arm64".parse().unwrap(), ..ImportOptions::default() };
    let imported = one(store.import(Source::Path(work.join("both")), &arm));
    let record = store.resolve(index.trim()).unwrap();
    assert_eq!(record.digest, imported.digest);
    assert_eq!(record.platform.to_string(), "linux/arm64");
    let by_index = store.image(&index.trim().parse().unwrap()).unwrap();
    assert_eq!(fs::read_to_string(by_index.layers[0].join("which")).unwrap(), "arm\n");
    assert!(store.has(&index.trim().parse().unwrap()));

    let risc =
        ImportOptions { platform: "linux/riscv64".parse().unwrap(), ..ImportOptions::default() };
    let error = store.import(Source::Path(work.join("both")), &risc).unwrap_err().to_string();
    assert!(error.contains("linux/amd64, linux/arm64"), "{error}");
    assert!(error.contains("linux/riscv64 is wanted"), "{error}");
}

/// A folder with everything that a layer can hold.
fn folder_of_everything(work: &Path) -> PathBuf {
    sh(
        work,
        "mkdir -p root/bin root/etc/deep/er root/empty
         cp /bin/busybox root/bin/busybox
         ln root/bin/busybox root/bin/sh
         chmod 4755 root/bin/busybox
         touch -d 2001-01-01 root/etc/deep/er",
    );
    let root = work.join("root");
    symlink("../bin/./sh", root.join("etc/link")).unwrap();
    symlink("x/".repeat(120), root.join("etc/long-link")).unwrap();
    let long = root.join("d".repeat(120)).join("e".repeat(120));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("file"), "deep").unwrap();
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0];
    let flags = rustix::fs::XattrFlags::empty();
    let file = root.join("etc/capable");
    fs::write(&file, "x").unwrap();
    rustix::fs::setxattr(&file, "security.capability", &capability, flags).unwrap();
    rustix::fs::setxattr(&file, "user.note", b"two\nlines", flags).unwrap();
    root
}

/// What a tree holds, for comparison: kind, mode, size or target, links, attributes.
fn listing(root: &Path) -> Vec<String> {
    let find = sh(
        root,
        r"find . -mindepth 1 -printf '%P %y %m %n %l ' \( -type f -exec sha256sum < {} \; -o -printf '\n' \) | LC_ALL=C sort",
    );
    let mut lines: Vec<_> =
        String::from_utf8(find.stdout).unwrap().lines().map(str::to_owned).collect();
    let mut value = vec![0; 100];
    for name in ["security.capability", "user.note"] {
        let length =
            rustix::fs::getxattr(root.join("etc/capable"), name, value.as_mut_slice()).unwrap();
        lines.push(format!("{name} {:?}", &value[..length]));
    }
    lines
}

#[test]
fn what_is_packed_comes_back_the_same() {
    let (_folder, work, store) = bench();
    let root = folder_of_everything(&work);
    let options = PackOptions { reference: Some("all:1".to_owned()), ..PackOptions::default() };
    let packed = pack(&root, &options, Output::Store(&store)).unwrap();
    let image = store.image(&packed.digest).unwrap();
    assert_eq!(listing(&image.layers[0]), listing(&root));
    assert_eq!(store.resolve("all:1").unwrap().digest, packed.digest);
}

#[test]
fn packing_twice_gives_the_same_digest_whatever_times_and_owners_are() {
    let (_folder, work, store) = bench();
    let root = folder_of_everything(&work);
    let options = PackOptions { created: Some(1_700_000_000), ..PackOptions::default() };
    let first = pack(&root, &options, Output::OciDir(work.join("one"))).unwrap();
    sh(&work, "cp -a root copy; touch copy/bin/sh; chown -h 7:7 copy/etc/link copy/empty");
    let second = pack(&work.join("copy"), &options, Output::OciTar(work.join("two.tar"))).unwrap();
    let third = pack(&root, &options, Output::Store(&store)).unwrap();
    assert_eq!(first, second);
    assert_eq!(first, third);
    sh(&work, "grep -l 2023-11-14T22:13:20Z one/blobs/sha256/*");
    let other = PackOptions { created: Some(1), ..PackOptions::default() };
    assert_ne!(pack(&root, &other, Output::OciDir(work.join("3"))).unwrap().digest, first.digest);
}

#[test]
fn skopeo_and_umoci_read_what_is_packed() {
    let (_folder, work, _store) = bench();
    let root = folder_of_everything(&work);
    let options = PackOptions {
        entrypoint: vec!["/bin/sh".to_owned()],
        env: vec!["A=b".to_owned()],
        labels: [("who".to_owned(), "me".to_owned())].into(),
        user: Some("1000".to_owned()),
        workdir: Some("/etc".to_owned()),
        reference: Some("all:1".to_owned()),
        ..PackOptions::default()
    };
    pack(&root, &options, Output::OciDir(work.join("out"))).unwrap();
    let packed = pack(&root, &options, Output::OciTar(work.join("out.tar"))).unwrap();
    for transport in ["oci:out:1", "oci-archive:out.tar"] {
        let seen = sh(&work, &format!("skopeo inspect {transport}"));
        let seen = String::from_utf8(seen.stdout).unwrap();
        assert!(seen.contains(&packed.digest.to_string()), "{seen}");
        assert!(seen.contains("\"who\": \"me\""), "{seen}");
        assert!(seen.contains("1970-01-01T00:00:00Z"), "{seen}");
    }
    sh(&work, "umoci unpack --image out:1 bundle; umoci stat --image out:1");
    assert_eq!(listing(&work.join("bundle/rootfs")), listing(&root));
    sh(&work, "grep -q '\"uid\": 1000' bundle/config.json");
}

#[test]
fn a_folder_with_what_an_image_cannot_hold_is_refused_by_name() {
    let (_folder, work, _store) = bench();
    for (line, name) in [("mkfifo f/pipe", "pipe"), ("touch f/.wh.x", ".wh.x")] {
        sh(&work, &format!("rm -rf f; mkdir f; {line}"));
        let output = Output::OciDir(work.join("out"));
        let error = pack(&work.join("f"), &PackOptions::default(), output).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert!(!work.join("out").exists());
    }
    let left = sh(&work, "ls -A");
    assert_eq!(String::from_utf8_lossy(&left.stdout), "f\n");
}

#[test]
fn several_images_in_one_archive_are_all_imported() {
    let (_folder, work, store) = bench();
    umoci_image(&work);
    sh(
        &work,
        "umoci config --image busy:1.0 --tag 2.0 --config.cmd two; tar -cf busy.tar -C busy .",
    );
    let all = store.import(Source::Path(work.join("busy.tar")), &ImportOptions::default()).unwrap();
    let names: Vec<_> = all.iter().flat_map(|i| i.names.clone()).collect();
    assert_eq!(names, ["busy:1.0", "busy:2.0"]);
    let error = store.import(Source::Path(work.join("busy")), &named("x")).unwrap_err();
    assert!(error.to_string().contains("2 images"), "{error}");
}

#[test]
fn a_stream_from_a_pipe_is_read_to_its_end() {
    let (_folder, work, store) = bench();
    umoci_image(&work);
    let mut tar = Command::new("tar")
        .args(["-c", "-b", "512", "-C", "busy", "."])
        .current_dir(&work)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = tar.stdout.take().unwrap();
    one(store.import(Source::Reader(Box::new(pipe)), &named("piped:1")));
    assert!(tar.wait().unwrap().success(), "tar was not killed by a closed pipe");
    check_busy_layers(&store, "piped:1");
}

#[test]
fn layers_are_out_of_reach_for_other_users() {
    let (folder, work, store) = bench();
    umoci_image(&work);
    one(store.import(Source::Path(work.join("busy")), &ImportOptions::default()));
    let mode = fs::metadata(folder.path().join("store/layers")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
    let left = fs::read_dir(folder.path().join("store/images.tmp")).unwrap().count();
    assert_eq!(left, 0, "nothing unfinished stays behind");
}
