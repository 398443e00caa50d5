//! Reads a stream of server-sent events (HTML, 9.2), as far as the daemon sends them.

/// The most octets of one event; a stream with a larger one is not ours.
pub const EVENT_OCTETS_MAX: usize = 4 << 20;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Its data.
    pub data: String,
}

/// An event is larger than [`EVENT_OCTETS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// What has come and is no event yet.
#[derive(Debug, Default)]
pub struct Reader(Vec<u8>);

impl Reader {
    /// Takes octets; gives the events that are whole.
    ///
    /// # Errors
    /// One of them is too large.
    pub fn take(&mut self, octets: &[u8]) -> Result<Vec<Event>, TooLarge> {
        self.0.extend_from_slice(octets);
        let mut events = Vec::new();
        while let Some(end) = self.0.windows(2).position(|two| two == b"\n\n") {
            let rest = self.0.split_off(end + 2);
            let whole = std::mem::replace(&mut self.0, rest);
            events.extend(event(&String::from_utf8_lossy(&whole)));
        }
        if self.0.len() > EVENT_OCTETS_MAX {
            return Err(TooLarge);
        }
        Ok(events)
    }
}

fn event(text: &str) -> Option<Event> {
    let (mut name, mut data) = (String::new(), Vec::new());
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("event:") {
            name = value.trim_start().to_owned();
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value));
        }
    }
    (!data.is_empty()).then(|| Event { name, data: data.join("\n") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_come_in_pieces() {
        let text = b"retry: 3000\n\n:\n\nevent: window\ndata: {\"a\":1}\n\n\
            event: diff\ndata: x\ndata: y\n\n";
        for size in [1, 2, 7, 1_000] {
            let mut reader = Reader::default();
            let events: Vec<_> =
                text.chunks(size).flat_map(|piece| reader.take(piece).unwrap()).collect();
            assert_eq!(events.len(), 2, "{size}");
            assert_eq!((&*events[0].name, &*events[0].data), ("window", "{\"a\":1}"));
            assert_eq!((&*events[1].name, &*events[1].data), ("diff", "x\ny"));
        }
        let mut reader = Reader::default();
        assert!(reader.take(&vec![b'a'; EVENT_OCTETS_MAX]).is_ok());
        assert_eq!(reader.take(b"a"), Err(TooLarge));
    }
}
