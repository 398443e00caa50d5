//! The screens.

pub mod help;
pub mod overview;
pub mod story;
pub mod tail;
pub mod view;
pub mod why;
