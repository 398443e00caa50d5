//! What the console has done for it.

use maily_api::directive::DirectiveRequest;

use crate::model::Screen;

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Follow what is on this screen, and nothing else any more.
    Follow(Screen),
    /// Who are we, and what views are there?
    Introduce,
    /// Say or do this.
    Direct(Box<DirectiveRequest>),
    /// Take this directive back.
    Undo(String),
    /// Copy this.
    Copy(String),
    /// Leave; the screen stays if so.
    Quit(bool),
}
