use super::*;

fn cron(text: &str) -> Cron {
    match Timetable::parse(text).unwrap() {
        Timetable::Cron(cron) => *cron,
        Timetable::Every(_) => panic!("{text}"),
    }
}

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn told(ms: Option<i64>) -> String {
    ms.map_or_else(|| "never".into(), |ms| Timestamp::from_millisecond(ms).unwrap().to_string())
}

#[test]
fn what_cron_and_its_nicknames_mean() {
    let noon = at("2026-03-01T12:00:30Z");
    for (text, expected) in [
        ("*/15 * * * *", "2026-03-01T12:15:00Z"),
        ("@hourly", "2026-03-01T13:00:00Z"),
        ("30 4 * * mon", "2026-03-02T04:30:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("0 0 30 2 *", "never"),
    ] {
        assert_eq!(told(next(&cron(text), &TimeZone::UTC, noon)), expected, "{text}");
    }
}

#[test]
fn the_last_moment_may_be_now() {
    let hourly = cron("@hourly");
    let (exact, later) = (at("2026-03-01T12:00:00Z"), at("2026-03-01T12:59:59Z"));
    assert_eq!(last(&hourly, &TimeZone::UTC, exact), Some(exact));
    assert_eq!(last(&hourly, &TimeZone::UTC, later), Some(exact));
}

#[test]
fn a_night_without_half_past_two_runs_once_and_a_night_with_two_runs_once() {
    // The rules of central Europe: forward on 29 March 2026 at 2:00, back on 25 October at 3:00.
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let nightly = cron("30 2 * * *");
    let count = |from: &str, to: &str| {
        let (mut at_ms, until, mut count) = (at(from), at(to), 0);
        while let Some(next) = next(&nightly, &zone, at_ms).filter(|next| *next < until) {
            (at_ms, count) = (next, count + 1);
        }
        count
    };
    assert_eq!(count("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), 1);
    assert_eq!(count("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"), 1);
}

#[test]
fn what_is_no_timetable_is_refused_with_an_example() {
    for text in ["", "* * * *", "61 * * * *", "0 0 * * * *", "@every", "@every 0s", "@sometimes"] {
        let problem = Timetable::parse(text).unwrap_err();
        assert!(problem.contains("such as") || problem.contains("@every"), "{text}: {problem}");
    }
    assert_eq!(Timetable::parse("@every 90s").unwrap(), Timetable::Every(Span::seconds(90)));
}
