//! The bucket, over time that is made up.

use super::*;

#[test]
fn ten_seconds_may_come_at_once_and_then_the_rate_counts() {
    let start = Instant::now();
    let mut bucket = Bucket::new(100, start);
    let mut kept = 0;
    while bucket.admits(start) {
        bucket.take(10);
        kept += 10;
    }
    assert_eq!(kept, 1000);
    // A tenth of a second later there is room for one more line, and for no second one.
    let later = start + Duration::from_millis(100);
    assert!(bucket.admits(later));
    bucket.take(10);
    assert!(!bucket.admits(later));
    // It never holds more than ten seconds.
    let much_later = start + Duration::from_secs(1000);
    assert!(bucket.admits(much_later));
    bucket.take(1000);
    assert!(!bucket.admits(much_later));
}

#[test]
fn short_times_add_up() {
    let start = Instant::now();
    let mut bucket = Bucket::new(1000, start);
    bucket.take(10_000);
    let mut now = start;
    for _ in 0..1000 {
        now += Duration::from_micros(100);
        bucket.admits(now);
    }
    bucket.take(99);
    assert!(bucket.admits(now), "100 ms at 1000 bytes a second are 100 bytes");
}

#[test]
fn what_was_dropped_is_told_once_in_ten_seconds() {
    let start = Instant::now();
    let mut bucket = Bucket::new(100, start);
    assert_eq!(bucket.untold(start, true), None);
    let after = |seconds| start + Duration::from_secs(seconds);
    bucket.drop(7, start);
    assert_eq!(bucket.untold(after(9), false), None);
    bucket.drop(8, after(9));
    assert_eq!(bucket.untold(after(10), false), Some(15));
    bucket.drop(9, after(10));
    assert_eq!(bucket.untold(after(19), false), None);
    assert_eq!(bucket.untold(after(20), false), Some(9));
    bucket.drop(1, after(20));
    assert_eq!(bucket.untold(after(21), true), Some(1));
    assert_eq!(bucket.dropped, 25);
}
