use super::*;

#[test]
fn a_superblock_says_its_size_and_its_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fs");
    let made = Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-b", "4096", "-O", "64bit"])
        .arg(&path)
        .arg("32M")
        .status()
        .expect("mke2fs (apt-get install e2fsprogs)");
    assert!(made.success());
    let found = superblock(&path).unwrap().unwrap();
    assert_eq!(found, Superblock { has_errors: false, size: 32 << 20, block: 4096 });
    let file = File::options().read(true).write(true).open(&path).unwrap();
    file.write_all_at(&[3], 1024 + 0x3a).unwrap();
    assert!(superblock(&path).unwrap().unwrap().has_errors);
}

#[test]
fn rubbish_is_no_superblock() {
    assert_eq!(Superblock::parse(&[0; 1024]), None);
    assert_eq!(Superblock::parse(&[]), None);
    let mut huge = [0xff; 1024];
    huge[0x38..0x3a].copy_from_slice(&0xef53_u16.to_le_bytes());
    assert_eq!(Superblock::parse(&huge), None);
}
