//! Texts as they are drawn: harmless, and no wider than they may be.

use unicode_width::UnicodeWidthChar;
use unicode_width::UnicodeWidthStr;

/// The most characters of a text that are looked at.
const CHARACTERS_MAX: usize = 4_096;

/// A text that cannot move the cursor, colour what follows, or be read in another order than it
/// has. What is left out is shown as what it is. In ASCII, what is not is a question mark.
pub fn harmless(text: &str, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len().min(CHARACTERS_MAX));
    for c in text.chars().take(CHARACTERS_MAX) {
        match c {
            ' '..='~' => out.push(c),
            '\t' => out.push(' '),
            _ if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            _ if is_hidden(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            _ if ascii => out.push('?'),
            _ => out.push(c),
        }
    }
    out
}

/// Marks that are not seen and change how what is around them is seen.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
        || c.width() == Some(0)
}

/// The width of a text in cells.
pub fn width(text: &str) -> usize {
    text.width()
}

/// As much of a text as fits into so many cells.
pub fn fitted(text: &str, cells: usize) -> String {
    let mut left = cells;
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    text.chars().take_while(fits).collect()
}

/// A text in a column: cut or filled up, to the right if it is a number.
pub fn cell(text: &str, cells: usize, right: bool) -> String {
    let text = fitted(text, cells);
    let room = " ".repeat(cells.saturating_sub(width(&text)));
    if right { room + &text } else { text + &room }
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How long, in two units at most: `3h12m`.
pub fn lasting(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m{:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// Octets: `2.1 GB`.
pub fn octets(octets: u64) -> String {
    let units =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.iter().find(|(unit, _)| octets >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", octets as f64 / *unit as f64),
        None => format!("{octets} B"),
    }
}

/// A mailbox without who it is: `a…@example.org`.
pub fn masked(text: &str, ascii: bool) -> String {
    let mut out = String::new();
    for (place, word) in text.split(' ').enumerate() {
        if place > 0 {
            out.push(' ');
        }
        match word.split_once('@') {
            Some((local, domain)) if !local.is_empty() => {
                let dots = if ascii { "..." } else { "…" };
                // What stands before the mailbox tells nothing of who it is: `TO:<ann@x.example>`.
                let begin = local.rfind(['<', ':', '=', '"', '(']).map_or(0, |at| at + 1);
                let (before, name) = local.split_at(begin);
                let shown = name.chars().next().unwrap_or('?');
                out.push_str(&format!("{before}{shown}{dots}@{domain}"));
            }
            _ => out.push_str(word),
        }
    }
    out
}

/// A line of bars for the last of these numbers.
pub fn spark(numbers: &[u64], cells: usize, ascii: bool) -> String {
    let bars: &[char] = match ascii {
        true => &[' ', '.', ':', '-', '=', '+', '*', '#'],
        false => &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
    };
    let last = numbers.get(numbers.len().saturating_sub(cells)..).unwrap_or_default();
    let most = last.iter().max().copied().unwrap_or(0).max(1);
    let top = bars.len() as u64 - 1;
    let bar = |number: &u64| bars.get((number * top).div_ceil(most) as usize).copied();
    last.iter().filter_map(bar).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_came_from_outside_can_do_nothing() {
        let hostile = "ok\x1b[2J\x07\u{9b}31m\u{202e}drow\u{200b}\r\nnext\tend";
        let shown = harmless(hostile, false);
        assert_eq!(shown, "ok\\x1b[2J\\x07\\x9b31m\\u{202e}drow\\u{200b}\\x0d\\x0anext end");
        assert_eq!(harmless("größe→", true), "gr??e?");
        assert_eq!(harmless(&"a".repeat(5_000), false).len(), CHARACTERS_MAX);
    }

    #[test]
    fn texts_fit_their_columns() {
        assert_eq!(cell("abc", 5, false), "abc  ");
        assert_eq!(cell("7", 3, true), "  7");
        assert_eq!(cell("日本語", 5, false), "日本 ");
        assert_eq!((grouped(0), grouped(1_234_567)), ("0".into(), "1,234,567".into()));
        assert_eq!((lasting(59), lasting(11_520)), ("59s".into(), "3h12m".into()));
        assert_eq!((octets(999), octets(2_100_000_000)), ("999 B".into(), "2.1 GB".into()));
        assert_eq!(masked("to ann.lee@gmail.com now", false), "to a…@gmail.com now");
        assert_eq!(masked("<ann@x.example>", true), "<a...@x.example>");
        assert_eq!(masked("RCPT TO:<ann@x.example>", false), "RCPT TO:<a…@x.example>");
        assert_eq!(spark(&[0, 1, 4, 8], 3, true), "..=#"[1..].to_string());
    }

    proptest! {
        #[test]
        fn nothing_of_any_text_is_a_control(text in "\\PC*|[\\x00-\\x9f]{0,40}") {
            let shown = harmless(&text, false);
            prop_assert!(shown.chars().all(|c| !c.is_control() && !is_hidden(c)));
            prop_assert!(width(&fitted(&shown, 7)) <= 7);
        }
    }
}
