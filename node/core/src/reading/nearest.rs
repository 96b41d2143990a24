//! Finds the word that was probably meant. Pure.

/// Longer words are not compared: the work grows with the product of the lengths.
const LENGTH_MAX: usize = 128;

/// The known word closest to `word`, if one is close enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(steps, _)| *steps <= allowed)
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be put in, taken out, replaced, or swapped with the next to turn one word
/// into the other.
fn distance(from: &str, to: &str) -> usize {
    if from.len() > LENGTH_MAX || to.len() > LENGTH_MAX {
        return usize::MAX;
    }
    let to: Vec<char> = to.chars().collect();
    let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or_default();
    let (mut before, mut above): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=to.len()).collect());
    let mut last = None;
    for (index, a) in from.chars().enumerate() {
        let mut row = vec![index + 1];
        for (at, b) in to.iter().enumerate() {
            let replaced = cell(&above, at) + usize::from(a != *b);
            let mut steps = replaced.min(cell(&above, at + 1) + 1).min(cell(&row, at) + 1);
            let left = at.checked_sub(1).and_then(|left| to.get(left));
            if last == Some(*b) && left == Some(&a) {
                steps = steps.min(cell(&before, at - 1) + 1);
            }
            row.push(steps);
        }
        (before, above, last) = (above, row, Some(a));
    }
    cell(&above, to.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["limits", "image", "healthCheck", "dependsOn"];
        assert_eq!(nearest("limts", known), Some("limits"));
        assert_eq!(nearest("healthcheck", known), Some("healthCheck"));
        assert_eq!(nearest("depends_on", known), Some("dependsOn"));
        assert_eq!(nearest("ports", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn the_distance_counts_edits() {
        for (a, b, steps) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "ac", 1),
            ("kitten", "sitting", 3),
            ("tires", "tiers", 1),
            ("ab", "ba", 1),
            ("", "ab", 2),
        ] {
            assert_eq!(distance(a, b), steps, "{a} {b}");
            assert_eq!(distance(b, a), steps, "{b} {a}");
        }
    }
}
