//! What is asked before something is done: what it does, what it does not, and to how many.

use maily_api::directive::Directive;
use maily_api::directive::DirectiveRequest;
use maily_api::directive::Verb;

/// Above so many messages the selector must be typed once more.
pub const TYPED_ABOVE: u64 = 1_000;

/// Where the focus of a dialog is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Focus {
    /// On the button that does nothing.
    #[default]
    Cancel,
    /// On the reason.
    Reason,
    /// On what must be typed once more.
    Typed,
    /// On the button that does it.
    Do,
}

/// A dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    /// What would be done.
    pub request: DirectiveRequest,
    /// What the daemon says that would happen; none as long as it has not said so.
    pub would: Option<Box<Directive>>,
    /// Where the focus is.
    pub focus: Focus,
    /// What was typed once more.
    pub typed: String,
}

impl Dialog {
    /// Asks whether to do this.
    pub fn new(verb: Verb, selector: &str) -> Self {
        let request = DirectiveRequest {
            verb,
            selector: selector.to_owned(),
            reason: String::new(),
            seconds: None,
            future: false,
            pool: None,
            window_seconds: None,
            dry_run: true,
            expected: None,
        };
        Self { request, would: None, focus: Focus::Cancel, typed: String::new() }
    }

    /// Whether a reason is needed.
    pub const fn needs_reason(&self) -> bool {
        !matches!(self.request.verb, Verb::Resume | Verb::Release | Verb::Retry)
    }

    /// Whether the selector must be typed once more.
    pub fn needs_typing(&self) -> bool {
        let matched = self.would.as_ref().map_or(0, |would| would.matched);
        let destroys = matches!(self.request.verb, Verb::Bounce | Verb::Drop);
        destroys && (matched > TYPED_ABOVE || self.request.selector == "all")
    }

    /// The fields that there are, in order.
    fn fields(&self) -> Vec<Focus> {
        let mut fields = vec![Focus::Cancel];
        fields.extend(self.needs_reason().then_some(Focus::Reason));
        fields.extend(self.needs_typing().then_some(Focus::Typed));
        fields.push(Focus::Do);
        fields
    }

    /// The next field, or the one before.
    pub fn turn(&mut self, back: bool) {
        let fields = self.fields();
        let at = fields.iter().position(|field| *field == self.focus).unwrap_or(0);
        let step = if back { fields.len() - 1 } else { 1 };
        if let Some(next) = fields.get((at + step) % fields.len()) {
            self.focus = *next;
        }
    }

    /// Why it cannot be done yet; none if it can.
    pub fn lacks(&self) -> Option<&'static str> {
        if self.would.is_none() {
            return Some("the daemon has not said yet what would happen");
        }
        if self.needs_reason() && self.request.reason.trim().is_empty() {
            return Some("say why: it is told to whoever asks");
        }
        if self.request.verb == Verb::Move && self.request.pool.is_none() {
            return Some("say to which pool: :move SELECTOR --pool NAME");
        }
        let typed = self.typed.trim() == self.request.selector;
        (self.needs_typing() && !typed).then_some("type the selector once more")
    }

    /// What is sent if it is to be done.
    pub fn order(&self) -> DirectiveRequest {
        let expected = self.would.as_ref().map(|would| would.matched);
        DirectiveRequest { dry_run: false, expected, ..self.request.clone() }
    }

    /// What is being typed into; none where nothing can be.
    pub fn text_mut(&mut self) -> Option<&mut String> {
        match self.focus {
            Focus::Reason => Some(&mut self.request.reason),
            Focus::Typed => Some(&mut self.typed),
            Focus::Cancel | Focus::Do => None,
        }
    }
}
