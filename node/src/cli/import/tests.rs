use super::*;

#[test]
fn images_come_before_documents_and_nothing_else_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.bundle", "a.bundle", "z.tar", "y.tar.gz", "notes.txt", "._b.bundle"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    std::fs::create_dir(folder.path().join("below")).unwrap();
    let found = gather(&[folder.path().to_owned()]).unwrap();
    let names: Vec<_> =
        found.iter().map(|(_, path)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["y.tar.gz", "z.tar", "a.bundle", "b.bundle"]);
}

#[test]
fn a_file_that_is_neither_and_a_folder_without_any_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let told = gather(&[folder.path().to_owned()]).unwrap_err().to_string();
    assert!(told.contains("no document (*.bundle)"), "{told}");
    let told = gather(&[folder.path().join("notes.txt")]).unwrap_err().to_string();
    assert!(told.contains("notes.txt: neither a document"), "{told}");
}
