use super::*;
use jiff::ToSpan as _;

#[test]
fn what_ends_within_a_quarter_of_its_time_is_told_with_what_to_do() {
    let now = Timestamp::UNIX_EPOCH + 10_000.hours();
    let day = SignedDuration::from_hours(24);
    let term = |of, role, left: i64, days: i32| Term {
        of,
        role,
        ends: now + SignedDuration::from_hours(left),
        holds: day * days,
    };
    let told = warnings(
        &[
            term(Repository::Director, Role::Root, 24 * 100, 365),
            term(Repository::Director, Role::Targets, 24 * 20, 90),
            term(Repository::Director, Role::Timestamp, 30, 30),
            term(Repository::Images, Role::Timestamp, -1, 365),
            term(Repository::Images, Role::Root, 24 * 90, 365),
        ],
        now,
    );
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].starts_with("the targets of director expires in 20 days"), "{told:?}");
    assert!(told[1].contains("expires in 30 hours") && told[1].ends_with("refresh, and publish"));
    assert!(told[2].contains("has EXPIRED") && told[2].contains("images refresh"), "{told:?}");
    assert!(told[3].ends_with("skerry-fleet key rotate timestamp --of images"), "{told:?}");
}
