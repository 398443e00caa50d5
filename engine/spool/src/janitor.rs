//! Gives back space: drops segments in which nothing lives, oldest first, and moves the remainder
//! of the oldest when the spool is mostly air.
//!
//! Marks and settlements always speak of messages in their own or an older segment. Because
//! segments go strictly oldest first, none of them can go while a message that it settles could
//! come back.

use std::sync::Arc;

use maily_journal::scan::Found;

use crate::entry::Entry;
use crate::inner::Inner;
use crate::walk::walk;

/// Fewer segments are left alone.
const SEGMENTS_KEPT: usize = 4;
/// The remainder of the oldest segment is moved when less than one part in this many lives.
const LIVE_PART_MIN: u64 = 2;

/// One round; true if it changed something and another may be worth while.
pub(crate) fn round(inner: &Arc<Inner>) -> bool {
    let segments = inner.journal().segments();
    let active = inner.journal().active();
    let Some(&oldest) = segments.first().filter(|oldest| **oldest < active) else { return false };
    let (used, live) = {
        let mut index = inner.index();
        index.forget_templates_in(oldest);
        (index.used(oldest), index.live_octets())
    };
    if used.messages == 0 {
        return drop_segment(inner, oldest);
    }
    let total = segments.len() as u64 * inner.segment_octets();
    if segments.len() <= SEGMENTS_KEPT || live * LIVE_PART_MIN >= total {
        return false;
    }
    match move_remainder(inner, oldest) {
        Ok(()) => {
            let left = inner.index().used(oldest).messages;
            if left > 0 {
                // Not found where they lie: damage since they were written, or since the start.
                inner.prove_messages_in(oldest);
            }
            // Anything that could not be moved is tried again later, not at once.
            left == 0
        }
        Err(error) => {
            tracing::error!(%error, segment = oldest, "the oldest segment could not be moved");
            false
        }
    }
}

fn drop_segment(inner: &Arc<Inner>, segment: u64) -> bool {
    match inner.journal().drop_segment(segment) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%error, segment, "a segment could not be dropped");
            false
        }
    }
}

/// Writes each message that lives in this segment again at the head of the journal, with all that
/// has become of it, and waits until that is durable.
fn move_remainder(inner: &Arc<Inner>, segment: u64) -> Result<(), String> {
    let mut moved = Ok(());
    let mut see = |found: Found, entry: Entry| {
        if moved.is_err() {
            return;
        }
        match entry {
            Entry::Accept(accept) | Entry::Moved { accept, .. } => {
                moved = inner.move_message(accept, found.position, found.octets);
            }
            Entry::Template(name) => {
                moved = inner.move_template(name, found.position, found.octets);
            }
            Entry::Keyed(keyed) => moved = inner.move_key(keyed.key, found.position),
            Entry::Mark(_) | Entry::Settle { .. } | Entry::Noticed { .. } => {}
        }
    };
    walk(inner.journal().folder(), segment, &mut see, &mut |_, _, _| Ok(()))
        .map_err(|error| error.to_string())?;
    moved?;
    if inner.flush_blocking() { Ok(()) } else { Err("what was moved is not on disk".to_owned()) }
}
