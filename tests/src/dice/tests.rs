use super::*;

#[test]
fn a_seed_gives_the_same_again_and_lanes_differ() {
    let ten = |seed, lane| {
        let mut dice = Dice::new(seed, lane);
        (0..10).map(|_| dice.below(1000)).collect::<Vec<_>>()
    };
    assert_eq!(ten(7, 1), ten(7, 1));
    assert_ne!(ten(7, 1), ten(7, 2));
    assert_ne!(ten(7, 1), ten(8, 1));
    let mut dice = Dice::new(1, 1);
    assert!((0..1000).all(|_| (3..=5).contains(&dice.between(3, 5))));
}
