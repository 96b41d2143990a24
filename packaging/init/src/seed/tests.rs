use super::*;

fn names(seeds: &Seeds) -> Vec<&str> {
    seeds.waiting.iter().map(|seed| seed.name.as_str()).collect()
}

#[test]
fn each_archive_is_imported_once_and_again_when_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (images, record) = (folder.path().join("images"), folder.path().join("seeded"));
    assert!(names(&Seeds::look_in(&images, &record)).is_empty(), "no such folder");
    fs::create_dir(&images).unwrap();
    for (name, text) in [("b.tar", "b"), ("a.tar", "a"), ("notes.txt", "x"), (".tar", "x")] {
        fs::write(images.join(name), text).unwrap();
    }
    let mut seeds = Seeds::look_in(&images, &record);
    assert_eq!(names(&seeds), ["a", "b"]);
    seeds.ended(false);
    seeds.ended(true);
    seeds.ended(true);
    assert_eq!(names(&Seeds::look_in(&images, &record)), ["a"], "what failed is tried again");
    fs::write(images.join("b.tar"), "another").unwrap();
    assert_eq!(names(&Seeds::look_in(&images, &record)), ["a", "b"]);
}
