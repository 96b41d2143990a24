//! How fast a layer of about 100 MB is imported, against `sha256sum` and `tar -x` of the same layer.
//!
//! `cargo run --release -p skerry-images --example import_speed [FOLDER]`, as root, on a quiet
//! machine. Rounds are interleaved, and each kind starts from a warm page cache; compare the ratios,
//! not the times. The layer is `/usr/lib` and `/usr/bin` of this machine, cut at 100 MB.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use skerry_images::{ImportOptions, Output, PackOptions, Source, Store, pack};

const ROUNDS: usize = 5;

fn sh(folder: &Path, line: &str) {
    let ran = Command::new("sh").arg("-euc").arg(line).current_dir(folder).status().unwrap();
    assert!(ran.success(), "{line}");
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let work = tempfile::tempdir_in(base).unwrap();
    let work = work.path();
    sh(
        work,
        "mkdir root
         find /usr/lib /usr/bin -xdev -type f -size -8M -printf '%s %p\\n' | LC_ALL=C sort -k2 \
           | awk '{ sum += $1; if (sum < 100000000) print $2 }' | tar -cf - -T - 2>/dev/null | tar -xf - -C root",
    );
    let packed =
        pack(&work.join("root"), &PackOptions::default(), Output::OciDir(work.join("gz"))).unwrap();
    let blob = work.join("gz/blobs/sha256").join(packed.layer.hex());
    sh(
        work,
        &format!(
            "cp {0} layer.gz; gzip -dk layer.gz; zstd -q layer -o layer.zst
             skopeo copy -q oci:gz oci-archive:gz.tar:x:1
             skopeo copy -q oci:gz docker-archive:plain.tar:x:1
             skopeo copy -q --dest-compress --dest-compress-format zstd oci:gz oci:zst:x 2>/dev/null",
            blob.display()
        ),
    );
    let size = fs::metadata(work.join("layer")).unwrap().len() as f64 / 1e6;
    println!("layer: {size:.0} MB unpacked");
    let cases = [
        ("gzip, from a folder", "gz", "sha256sum layer.gz; mkdir out; tar -xzf layer.gz -C out"),
        (
            "gzip, from a stream",
            "gz.tar|",
            "sha256sum layer.gz; mkdir out; tar -xzf layer.gz -C out",
        ),
        ("plain, from a file", "plain.tar", "sha256sum layer; mkdir out; tar -xf layer -C out"),
        (
            "zstd, from a folder",
            "zst",
            "sha256sum layer.zst; mkdir out; tar --zstd -xf layer.zst -C out",
        ),
    ];
    for (what, source, baseline) in cases {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let start = Instant::now();
            sh(work, &format!("{{ {baseline}; }} >/dev/null; sync -f out"));
            theirs.push(start.elapsed().as_secs_f64());
            let store = Store::open(&work.join("store")).unwrap();
            let start = Instant::now();
            let input = match source.strip_suffix('|') {
                Some(file) => Source::Reader(Box::new(fs::File::open(work.join(file)).unwrap())),
                None => Source::Path(work.join(source)),
            };
            store.import(input, &ImportOptions::default()).unwrap();
            ours.push(start.elapsed().as_secs_f64());
            sh(work, "rm -rf out store; sync -f .");
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!(
            "{what}: {ours:.2} s ({:.0} MB/s); sha256sum + tar {theirs:.2} s ({:.0} MB/s); ratio {:.2}",
            size / ours,
            size / theirs,
            theirs / ours
        );
    }
}
