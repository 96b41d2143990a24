use super::*;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn read(path: &Path) -> Result<SigningKey, KeysError> {
    super::read(path, Class::Online, &Passphrases::of("correct horse", "other"))
}

#[test]
fn a_written_key_is_read_back_and_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    for passphrase in [None, Some("correct horse")] {
        let (path, key) = (folder.path().join("root.key"), make().unwrap());
        write(&path, &key, passphrase).unwrap();
        assert_eq!(read(&path).unwrap().to_bytes(), key.to_bytes());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.contains(&hex::encode(key.to_bytes())), passphrase.is_none());
    }
}

#[test]
fn a_wrong_passphrase_and_a_damaged_file_are_told_apart_from_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    write(&path, &make().unwrap(), Some("battery staple")).unwrap();
    let why = read(&path).unwrap_err().to_string();
    assert!(
        why.ends_with(
            "root.key cannot be decrypted: the passphrase is wrong, or the file is damaged"
        ),
        "{why}"
    );
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.get(..100).unwrap()).unwrap();
    assert!(matches!(read(&path), Err(KeysError::Content { .. })));
}

#[test]
fn openssl_reads_what_is_encrypted_here_and_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = (folder.path().join("a.pem"), make().unwrap());
    write(&path, &key, Some("correct horse")).unwrap();
    let openssl = |words: &[&str]| {
        let output =
            Command::new("openssl").args(words).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let der =
        openssl(&["pkey", "-in", "a.pem", "-passin", "pass:correct horse", "-outform", "DER"]);
    assert_eq!(der.strip_prefix(&PKCS8_V1).unwrap(), key.to_bytes());
    let words = "genpkey -algorithm ed25519 -aes256 -pass stdin -out b.pem";
    let mut words: Vec<_> = words.split(' ').collect();
    words[4] = "-pass";
    words[5] = "pass:correct horse";
    openssl(&words);
    let public = openssl(&[
        "pkey",
        "-in",
        "b.pem",
        "-passin",
        "pass:correct horse",
        "-pubout",
        "-outform",
        "DER",
    ]);
    assert!(
        public.ends_with(read(&folder.path().join("b.pem")).unwrap().verifying_key().as_bytes())
    );
}

#[test]
fn keys_of_openssl_are_read() {
    // The key of RFC 8410, section 10.3.
    let pem = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    std::fs::write(&path, pem).unwrap();
    let key = read(&path).unwrap();
    assert_eq!(
        hex::encode(key.verifying_key().as_bytes()),
        "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
    );
}

#[test]
fn other_content_is_refused_without_showing_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    std::fs::write(&path, "secret").unwrap();
    let error = read(&path).unwrap_err().to_string();
    assert!(error.contains("root.key holds no ed25519 key"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}
