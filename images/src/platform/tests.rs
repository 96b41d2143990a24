use super::*;

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

#[test]
fn an_armv7_board_prefers_v7_takes_v6_and_refuses_v8() {
    let board = platform("linux/arm/v7");
    assert!(board.suits(&platform("linux/arm/v7")) > board.suits(&platform("linux/arm/v6")));
    assert!(board.suits(&platform("linux/arm/v6")).is_some());
    assert_eq!(board.suits(&platform("linux/arm/v8")), None);
    assert_eq!(board.suits(&platform("linux/arm64")), None);
}

#[test]
fn arm64_with_and_without_its_variant_are_the_same() {
    assert!(platform("linux/arm64").suits(&platform("linux/arm64/v8")).is_some());
    assert!(platform("linux/arm64/v8").suits(&platform("linux/arm64")).is_some());
}

#[test]
fn plain_amd64_refuses_images_for_newer_processors() {
    assert_eq!(platform("linux/amd64").suits(&platform("linux/amd64/v3")), None);
    assert_eq!(platform("linux/amd64").suits(&platform("unknown/unknown")), None);
}

#[test]
fn a_wrong_platform_says_what_one_looks_like() {
    let error = "amd64".parse::<Platform>().unwrap_err().to_string();
    assert!(error.contains("linux/arm/v7"), "{error}");
    assert!("linux/arm/v7/x".parse::<Platform>().is_err());
}
