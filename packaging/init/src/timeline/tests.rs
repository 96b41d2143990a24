use super::*;

#[test]
fn phases_survive_the_change_of_programs() {
    let mut timeline = Timeline::parse("initramfs=812,slot=1030,nonsense,also=x");
    timeline.mark("slot");
    assert_eq!(timeline.handed_over(), "initramfs=812,slot=1030");
    assert_eq!(timeline.json(), "{\n  \"initramfs\": 812,\n  \"slot\": 1030\n}\n");
    timeline.mark("data");
    assert_eq!(Timeline::parse(&timeline.handed_over()), timeline);
}
