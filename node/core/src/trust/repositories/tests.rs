use super::*;
use crate::trust::tests::repository::Repository;

#[test]
fn both_roots_come_in_one_file_and_one_alone_is_told_apart() {
    let (director, images) = (Repository::new(), Repository::of_images(Vec::new()));
    let text = Roots::new(director.root_file(), images.root_file()).to_text();
    let trust: Repositories = Roots::parse(&text).unwrap().into();
    for repository in [super::Repository::Director, super::Repository::Images] {
        assert_eq!(trust.open(repository).unwrap().root().version, 1);
    }
    assert_ne!(trust.director, trust.images);
    let error = Roots::parse(&director.root_file()).unwrap_err().to_string();
    assert!(error.contains("skerry-fleet init"), "{error}");
    let error = Roots::parse(&text.replace("roots/1", "roots/2")).unwrap_err().to_string();
    assert!(error.contains("'skerry-roots/1' is understood"), "{error}");
    let broken: Repositories = Roots::new(director.root_file(), "{}".to_owned()).into();
    let error = broken.open(super::Repository::Images).unwrap_err().to_string();
    assert!(error.starts_with("images: root"), "{error}");
}
