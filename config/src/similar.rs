//! Which known word was meant: the nearest by edit distance, if it is near. Of two that are
//! equally near, the one with the same letters: they were only swapped.

/// The known word that differs from `word` in at most a third of its letters.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = (word.chars().count() / 3).max(1);
    let rank = |other: &&'a str| (distance(word, other), letters(word) != letters(other), *other);
    let ranked =
        known.iter().map(rank).filter(|(far, other, _)| *far <= near + usize::from(!other));
    ranked.min().map(|(_, _, found)| found)
}

fn letters(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.chars().collect();
    letters.sort_unstable();
    letters
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, pair) in b.chars().zip(row.windows(2)) {
            let [diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        assert_eq!(nearest("delay_mni", &["delay_max", "delay_min"]), Some("delay_min"));
        assert_eq!(nearest("prot", &["host", "port"]), Some("port"));
        assert_eq!(nearest("colour", &["delay_max", "jitter"]), None);
    }
}
