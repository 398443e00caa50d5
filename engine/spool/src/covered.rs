//! What the last checkpoint covers.

/// Of the journal, from its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Covered {
    /// Segments below this.
    pub(crate) segment: u64,
    /// Records that had been written.
    pub(crate) records: u64,
}
