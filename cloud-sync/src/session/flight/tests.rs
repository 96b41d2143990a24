use super::*;

#[test]
fn an_acknowledgement_finds_its_message() {
    let now = Instant::now();
    let mut flight = Flight::new(Duration::from_secs(30));
    for cargo in ["a", "b", "c"] {
        flight.hand_over(cargo, 0, now);
    }
    flight.took_off(5);
    flight.took_off(6);
    assert_eq!(flight.landed(6), Some("b"));
    assert_eq!(flight.landed(6), None);
    assert_eq!(flight.landed(7), None);
    assert_eq!(flight.landed(5), Some("a"));
    assert_eq!((flight.len(), flight.sole()), (1, Some(&"c")));
    assert_eq!(flight.into_cargo().collect::<Vec<_>>(), ["c"]);
}

#[test]
fn a_large_message_may_take_longer() {
    let now = Instant::now();
    let mut flight = Flight::new(Duration::from_secs(30));
    assert_eq!(flight.due(), None);
    flight.hand_over((), 2048 * 100, now);
    assert_eq!(flight.due(), Some(now + Duration::from_secs(130)));
    flight.took_off(1);
    flight.landed(1);
    flight.hand_over((), 0, now);
    assert_eq!(flight.due(), Some(now + Duration::from_secs(30)));
    flight.postpone(Duration::from_secs(5));
    assert_eq!(flight.due(), Some(now + Duration::from_secs(35)));
}
