use super::*;
use std::fs;

fn digest(byte: u8) -> String {
    format!("sha256:{}", hex::encode([byte; 32]))
}

fn index(byte: u8) -> String {
    format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"{}","size":7}}]}}"#, digest(byte))
}

/// A tar of these files, as `tar` writes it.
fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, text) in files {
        let mut header = [0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
        header[257..262].copy_from_slice(b"ustar");
        tar.extend(header);
        tar.extend(text.as_bytes());
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    tar
}

#[test]
fn an_archive_a_folder_and_a_manifest_say_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let blob = "x".repeat(700);
    let archive =
        tar(&[("oci-layout", "{}"), ("blobs/sha256/1", &blob), ("./index.json", &index(1))]);
    fs::write(path("image.tar"), archive).unwrap();
    fs::write(path("index.json"), index(2)).unwrap();
    let text = r#"{"schemaVersion":2,"layers":[]}"#;
    fs::write(path("manifest"), text).unwrap();
    let one = |byte| vec![Manifest { digest: digest(byte).parse().unwrap(), size: 7 }];
    assert_eq!(read(&path("image.tar"), None).unwrap(), one(1));
    assert_eq!(read(&folder.path().display().to_string(), None).unwrap(), one(2));
    let own = Manifest { digest: Digest::of(text.as_bytes()), size: text.len() as u64 };
    assert_eq!(read(&path("manifest"), None).unwrap(), [own]);
    assert_eq!(read(&digest(3), Some(7)).unwrap(), one(3));
}

#[test]
fn what_is_no_image_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let said = |image: &str| format!("{:#}", read(image, None).unwrap_err());
    fs::write(path("text"), "hello").unwrap();
    assert!(said(&path("text")).contains("skerry image pack -o"), "{}", said(&path("text")));
    fs::write(path("empty.tar"), tar(&[("index.json", r#"{"manifests":[]}"#)])).unwrap();
    assert!(said(&path("empty.tar")).contains("holds no image"));
    assert!(said(&path("gone")).contains("gone: cannot be read"));
    assert!(said(&digest(1)).contains("needs --size"));
    let mut huge = tar(&[("a", "")]);
    huge[124..135].copy_from_slice(b"77777777777");
    fs::write(path("huge.tar"), huge).unwrap();
    assert!(read(&path("huge.tar"), None).is_err());
}
