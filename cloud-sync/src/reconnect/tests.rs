use proptest::prelude::*;

use super::*;

const MIN: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_secs(120);

proptest! {
    #[test]
    fn a_pause_is_within_its_bounds(
        min in 1_u64..10_000, max in 0_u64..1_000_000, jitter in prop::collection::vec(any::<f64>(), 1..80)
    ) {
        let (min, max) = (Duration::from_millis(min), Duration::from_millis(max));
        let mut backoff = Backoff::new(min, max);
        for draw in jitter {
            let pause = backoff.failed(draw);
            prop_assert!(pause >= min && pause <= max.max(min));
        }
    }

    #[test]
    fn a_larger_draw_never_gives_a_shorter_pause(failures in 0_usize..40, a in 0.0..1.0, b in 0.0..1.0) {
        let mut backoff = Backoff::new(MIN, MAX);
        for _ in 0..failures {
            backoff.failed(0.5);
        }
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        prop_assert!(backoff.clone().failed(low) <= backoff.failed(high));
    }
}

#[test]
fn pauses_grow_to_two_minutes_and_stay() {
    let mut backoff = Backoff::new(MIN, MAX);
    let pauses: Vec<u64> = (0..8).map(|_| backoff.failed(1.0).as_secs()).collect();
    assert_eq!(pauses, [4, 8, 16, 32, 64, 120, 120, 120]);
    assert_eq!(backoff.failures(), 8);
}

#[test]
fn only_a_connection_that_held_starts_over() {
    let mut backoff = Backoff::new(MIN, MAX);
    for _ in 0..5 {
        backoff.failed(0.0);
        backoff.held(Duration::from_secs(9));
    }
    assert_eq!(backoff.failures(), 5);
    backoff.held(Duration::from_secs(10));
    assert_eq!(backoff.failures(), 0);
}
