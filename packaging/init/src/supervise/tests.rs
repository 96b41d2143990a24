use super::*;

#[test]
fn the_delay_doubles_up_to_a_minute() {
    let delays: Vec<u128> = [1, 2, 3, 7, 8, 64, u32::MAX].map(|n| delay(n).as_millis()).to_vec();
    assert_eq!(delays, [500, 1000, 2000, 32_000, 60_000, 60_000, 60_000]);
}

#[test]
fn running_for_a_while_clears_the_count() {
    let at = Duration::from_secs;
    let mut child = Child::new(Role::Node, at(0));
    assert_eq!(child.due(), Some(at(0)));
    child.ended(at(1));
    child.ended(at(2));
    assert_eq!(child.due(), Some(at(3)));
    child.began = at(3);
    child.ended(at(64));
    assert_eq!(child.due(), Some(at(64) + delay(1)));
}
