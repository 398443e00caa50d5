//! Each screen as it is drawn, at three sizes; and what follows from keys.
//!
//! `INSTA_UPDATE=always cargo nextest run -p maily-tui` writes the frames anew, to be looked at.
#![expect(clippy::unwrap_used, reason = "a test that is surprised must fail")]

mod frames;
mod keys;
mod world;
