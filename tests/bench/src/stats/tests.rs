use super::spread;

#[test]
fn no_samples_have_no_spread() {
    assert_eq!(spread(&[]), None);
}

#[test]
fn percentiles_are_samples_by_nearest_rank() {
    let samples: Vec<f64> = (1..=10).rev().map(f64::from).collect();
    let found = spread(&samples).expect("ten samples");
    assert_eq!((found.least, found.p50, found.p90, found.count), (1.0, 5.0, 9.0, 10));
}

#[test]
fn one_sample_is_every_percentile() {
    let found = spread(&[7.0]).expect("one sample");
    assert_eq!((found.least, found.p50, found.p90), (7.0, 7.0, 7.0));
}
