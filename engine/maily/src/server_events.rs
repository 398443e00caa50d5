//! Server-sent events (HTML, 9.2) as a client reads them: octets in, events out.

use anyhow::bail;

/// The most octets of one event.
pub const EVENT_OCTETS_MAX: usize = 1 << 20;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What it is called; empty if it has no name.
    pub name: String,
    /// What it says.
    pub data: String,
}

/// Reads events.
#[derive(Debug, Default)]
pub struct Reader {
    rest: Vec<u8>,
    event: Event,
}

impl Reader {
    /// The events that are whole with these octets.
    ///
    /// # Errors
    /// An event is too long.
    pub fn read(&mut self, octets: &[u8]) -> anyhow::Result<Vec<Event>> {
        self.rest.extend_from_slice(octets);
        let mut events = Vec::new();
        let mut start = 0;
        while let Some(rest) = self.rest.get(start..)
            && let Some(end) = memchr::memchr(b'\n', rest)
        {
            let line = rest.get(..end).unwrap_or_default();
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
            start += end + 1;
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                // Without data there is nothing to tell.
                events.extend((!event.data.is_empty()).then_some(event));
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.event.name),
                "data" => {
                    if !self.event.data.is_empty() {
                        self.event.data.push('\n');
                    }
                    self.event.data.push_str(value);
                }
                _ => {}
            }
        }
        self.rest.drain(..start);
        if self.rest.len() + self.event.data.len() > EVENT_OCTETS_MAX {
            bail!("an event has more than {EVENT_OCTETS_MAX} octets");
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_are_read_in_whatever_pieces_they_come() {
        let text =
            b"retry: 3000\n\nid: 1\nevent: line\ndata: {\"a\":1}\n\n:\n\ndata:x\r\ndata: y\r\n\r\n";
        for piece in 1..text.len() {
            let mut reader = Reader::default();
            let read = |octets: &[u8]| reader.read(octets).unwrap();
            let events: Vec<_> = text.chunks(piece).flat_map(read).collect();
            assert_eq!(events, [event("line", "{\"a\":1}"), event("", "x\ny")], "{piece}");
        }
    }

    #[test]
    fn one_octet_above_the_limit_is_an_error() {
        let long = vec![b'x'; EVENT_OCTETS_MAX];
        let mut reader = Reader::default();
        assert!(reader.read(&long).unwrap().is_empty());
        assert!(reader.read(b"x").is_err());
        let mut reader = Reader::default();
        let line = [b"data: ", &long[6..], b"\n"].concat();
        assert!(reader.read(&line).is_ok());
        assert!(reader.read(&line).is_err(), "in two lines, too");
    }
}
