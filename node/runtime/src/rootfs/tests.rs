//! The options of the overlay. That it mounts is shown in `tests/containers`.

use super::*;

#[test]
fn the_topmost_layer_comes_first_and_the_skeleton_last() {
    let lowers = ["/a".into(), "/b".into()];
    assert_eq!(lowerdir(&lowers, Path::new("/s")).unwrap(), "lowerdir=/b:/a:/s");
}

#[test]
fn separators_in_names_are_escaped() {
    let lowers = ["/a:b,c\\d".into()];
    assert_eq!(lowerdir(&lowers, Path::new("/s")).unwrap(), r"lowerdir=/a\:b\,c\\d:/s");
}
