use super::*;
use crate::device::Settings;
use crate::settings::{GOOD, VENDOR};

fn trial() -> Trial {
    let choice = |file| Configuration { file, text: String::new(), settings: Settings::default() };
    Trial::new([BOOT, GOOD, VENDOR].map(choice).to_vec())
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn file(trial: &Trial) -> &'static str {
    trial.current().unwrap().file
}

#[test]
fn a_configuration_that_the_node_refuses_gives_way() {
    let mut trial = trial();
    assert_eq!(file(&trial), BOOT);
    assert!(!trial.ended(), "once may be chance");
    assert_eq!(file(&trial), BOOT);
    assert!(trial.ended());
    assert_eq!(file(&trial), GOOD);
    trial.ended();
    trial.ended();
    assert_eq!(file(&trial), VENDOR);
    trial.ended();
    trial.ended();
    assert_eq!(file(&trial), BOOT, "and round again");
}

#[test]
fn one_that_works_is_kept_and_a_later_crash_does_not_blame_it() {
    let mut trial = trial();
    assert_eq!((trial.judge(seconds(99)), trial.due()), (Verdict::Wait, None));
    trial.is_ready(seconds(5));
    assert_eq!(trial.due(), Some(seconds(35)));
    assert_eq!(trial.judge(seconds(34)), Verdict::Wait);
    assert_eq!(trial.judge(seconds(35)), Verdict::Keep);
    assert_eq!(trial.judge(seconds(36)), Verdict::Wait);
    assert_eq!(trial.due(), None);
    assert!(!trial.ended() && !trial.ended());
    assert_eq!(file(&trial), BOOT);
}

#[test]
fn the_persons_configuration_gets_another_chance() {
    let mut trial = trial();
    trial.ended();
    trial.ended();
    trial.is_ready(seconds(10));
    assert_eq!(trial.judge(seconds(40)), Verdict::Keep);
    assert_eq!(trial.due(), Some(seconds(3610)));
    assert_eq!(trial.judge(seconds(3610)), Verdict::TryAgain);
    assert_eq!(trial.judge(seconds(3611)), Verdict::Wait);
    trial.ended();
    assert_eq!(file(&trial), BOOT);
}

#[test]
fn without_any_there_is_nothing_to_start() {
    assert!(Trial::new(Vec::new()).current().is_none());
}
