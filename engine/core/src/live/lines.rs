//! A ring of the last lines of a session. It keeps its memory, so that a session that goes on for
//! long asks for no more of it.

use std::collections::VecDeque;
use std::fmt;
use std::fmt::Write;

use crate::clock::Timestamp;

/// The most lines that are kept.
pub const LINES_MAX: usize = 64;
/// The most octets of a line that are kept; what is behind them is cut off, and `…` says so.
pub const LINE_OCTETS_MAX: usize = 512;
/// The most octets of all lines that are kept.
pub const TEXT_OCTETS_MAX: usize = 16 << 10;

const CUT: &str = "…";

/// Who said a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The client of the connection.
    Client,
    /// The server of the connection.
    Server,
    /// Neither: what happened, in words.
    Note,
}

/// A line, without its line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was said.
    pub at: Timestamp,
    /// By whom.
    pub by: Speaker,
    /// What. Octets that are no UTF-8 are shown as U+FFFD; what else it holds is as it was.
    pub text: String,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Timestamp,
    by: Speaker,
    octets: u16,
}

/// The last lines.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    text: VecDeque<u8>,
    marks: VecDeque<Mark>,
    cut: u64,
}

impl Lines {
    /// Adds a line.
    pub fn push(&mut self, at: Timestamp, by: Speaker, line: &[u8]) {
        let mut pen = Pen::new(&mut self.text);
        pen.put(line);
        let octets = pen.end();
        self.mark(Mark { at, by, octets });
    }

    /// Adds a line of these words.
    pub fn push_words(&mut self, at: Timestamp, by: Speaker, words: fmt::Arguments<'_>) {
        let mut pen = Pen::new(&mut self.text);
        // What it writes to takes all that it is given.
        let _infallible = pen.write_fmt(words);
        let octets = pen.end();
        self.mark(Mark { at, by, octets });
    }

    /// Adds the lines of another ring, which is empty then; all were said at this time.
    pub fn take(&mut self, other: &mut Self, at: Timestamp) {
        if other.cut > 0 {
            // What came before a gap is not shown as if there were none.
            self.cut += std::mem::take(&mut other.cut) + self.marks.len() as u64;
            self.text.clear();
            self.marks.clear();
        }
        let mut text: &[u8] = other.text.make_contiguous();
        for mark in other.marks.drain(..) {
            let Some((line, rest)) = text.split_at_checked(mark.octets.into()) else { break };
            text = rest;
            self.text.extend(line);
            self.mark(Mark { at, ..mark });
        }
        other.text.clear();
    }

    fn mark(&mut self, mark: Mark) {
        self.marks.push_back(mark);
        while self.marks.len() > LINES_MAX || self.text.len() > TEXT_OCTETS_MAX {
            let Some(first) = self.marks.pop_front() else { break };
            self.text.drain(..usize::from(first.octets).min(self.text.len()));
            self.cut += 1;
        }
    }

    /// How many lines were cut away before the first.
    pub const fn cut(&self) -> u64 {
        self.cut
    }

    /// How many lines there have been.
    pub fn count(&self) -> u64 {
        self.cut + self.marks.len() as u64
    }

    /// Whether none has been said.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Writes the last line that somebody said over what is there, if they said one.
    pub fn copy_last(&self, by: Speaker, into: &mut Vec<u8>) {
        let mut end = self.text.len();
        for mark in self.marks.iter().rev() {
            let start = end.saturating_sub(mark.octets.into());
            if mark.by == by {
                into.clear();
                into.extend(self.text.range(start..end));
                return;
            }
            end = start;
        }
    }

    /// The lines behind the first so many of all that there have been, as far as they are kept.
    pub fn behind(&self, count: u64) -> Vec<Line> {
        let skip = usize::try_from(count.saturating_sub(self.cut)).unwrap_or(usize::MAX);
        let mut start = 0;
        let mut lines = Vec::with_capacity(self.marks.len().saturating_sub(skip));
        for (place, mark) in self.marks.iter().enumerate() {
            let end = start + usize::from(mark.octets);
            if place >= skip && end <= self.text.len() {
                let octets: Vec<u8> = self.text.range(start..end).copied().collect();
                let text = String::from_utf8_lossy(&octets).into_owned();
                lines.push(Line { at: mark.at, by: mark.by, text });
            }
            start = end;
        }
        lines
    }

    /// Forgets all lines.
    pub fn clear(&mut self) {
        self.text.clear();
        self.marks.clear();
        self.cut = 0;
    }

    /// Gives back the memory that is not used: nothing more is said.
    pub fn close(&mut self) {
        self.text.shrink_to_fit();
        self.marks.shrink_to_fit();
    }

    /// Octets of memory.
    pub fn octets(&self) -> usize {
        self.text.capacity() + self.marks.capacity() * size_of::<Mark>()
    }
}

/// Writes a line as far as there is room for it.
struct Pen<'a> {
    text: &'a mut VecDeque<u8>,
    octets: usize,
    whole: bool,
}

impl<'a> Pen<'a> {
    const fn new(text: &'a mut VecDeque<u8>) -> Self {
        Self { text, octets: 0, whole: true }
    }

    fn put(&mut self, octets: &[u8]) {
        let room = LINE_OCTETS_MAX - self.octets;
        let fits = octets.get(..room).unwrap_or(octets);
        self.whole &= fits.len() == octets.len();
        self.octets += fits.len();
        self.text.extend(fits);
    }

    fn end(self) -> u16 {
        if !self.whole {
            let len = self.text.len();
            self.text.truncate(len.saturating_sub(CUT.len()));
            self.text.extend(CUT.as_bytes());
        }
        // LINE_OCTETS_MAX is less.
        u16::try_from(self.octets).unwrap_or(u16::MAX)
    }
}

impl Write for Pen<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_secs(7);

    fn texts(lines: &Lines, behind: u64) -> Vec<String> {
        lines.behind(behind).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn one_line_above_the_limit_cuts_the_first_away() {
        let mut lines = Lines::default();
        for number in 0..=LINES_MAX {
            lines.push_words(AT, Speaker::Note, format_args!("{number}"));
        }
        let kept = texts(&lines, 0);
        assert_eq!((kept.len(), lines.cut(), lines.count()), (LINES_MAX, 1, 65));
        assert_eq!((&*kept[0], &*kept[63]), ("1", "64"));
        assert_eq!(texts(&lines, 63), ["63", "64"]);
        assert!(texts(&lines, 65).is_empty() && texts(&lines, u64::MAX).is_empty());
    }

    #[test]
    fn one_octet_above_the_limit_cuts_a_line_off() {
        let mut lines = Lines::default();
        lines.push(AT, Speaker::Client, &[b'a'; LINE_OCTETS_MAX]);
        lines.push(AT, Speaker::Client, &[b'b'; LINE_OCTETS_MAX + 1]);
        lines.push_words(AT, Speaker::Note, format_args!("{}c", "ü".repeat(LINE_OCTETS_MAX / 2)));
        lines.push(AT, Speaker::Note, b"next");
        let kept = texts(&lines, 0);
        assert_eq!(kept[0], "a".repeat(LINE_OCTETS_MAX));
        assert_eq!(kept[1], "b".repeat(LINE_OCTETS_MAX - 3) + CUT);
        assert!(kept[2].ends_with(CUT) && kept[2].starts_with('ü'), "{}", kept[2]);
        assert_eq!(kept[3], "next");
    }

    #[test]
    fn long_lines_take_no_more_memory_than_they_may() {
        let mut lines = Lines::default();
        for _ in 0..1_000 {
            lines.push(AT, Speaker::Server, &[b'x'; 1_000]);
        }
        assert_eq!(texts(&lines, 0).len(), TEXT_OCTETS_MAX / LINE_OCTETS_MAX);
        assert_eq!(lines.count(), 1_000);
        assert!(lines.octets() <= 3 * TEXT_OCTETS_MAX, "{}", lines.octets());
        lines.close();
        assert!(lines.octets() <= TEXT_OCTETS_MAX + 4_096, "{}", lines.octets());
        assert_eq!(texts(&lines, 999), [format!("{}…", "x".repeat(LINE_OCTETS_MAX - 3))]);
    }

    #[test]
    fn a_ring_that_is_full_asks_for_no_more_memory() {
        let mut lines = Lines::default();
        let fill = |lines: &mut Lines| {
            (0..2 * LINES_MAX).for_each(|_| lines.push(AT, Speaker::Server, &[b'x'; 100]));
        };
        fill(&mut lines);
        let before = lines.octets();
        fill(&mut lines);
        assert_eq!(lines.octets(), before);
    }

    #[test]
    fn what_is_taken_over_keeps_its_order_and_shows_its_gaps() {
        let (mut all, mut some) = (Lines::default(), Lines::default());
        all.push(AT, Speaker::Client, b"first");
        some.push(Timestamp::EPOCH, Speaker::Server, b"second");
        some.push(Timestamp::EPOCH, Speaker::Note, b"");
        all.take(&mut some, AT);
        assert!(some.is_empty());
        assert_eq!(texts(&all, 0), ["first", "second", ""]);
        assert!(all.behind(0).iter().all(|line| line.at == AT));
        let mut last = Vec::new();
        all.copy_last(Speaker::Client, &mut last);
        assert_eq!(last, b"first");
        for _ in 0..LINES_MAX + 2 {
            some.push(AT, Speaker::Server, b"x");
        }
        all.take(&mut some, AT);
        assert_eq!((all.cut(), all.count()), (5, 5 + LINES_MAX as u64));
        all.copy_last(Speaker::Client, &mut last);
        assert_eq!(last, b"first", "there is none any more");
        assert_eq!(texts(&all, 0), vec!["x"; LINES_MAX]);
    }

    #[test]
    fn octets_from_outside_stay_as_they_are_if_they_are_text() {
        let mut lines = Lines::default();
        lines.push(AT, Speaker::Server, b"550 \x1b[2J \xff\r");
        assert_eq!(texts(&lines, 0), ["550 \u{1b}[2J \u{fffd}\r"]);
    }
}
