//! Mail that is written when it is sent: a [`Mailing`](mailing::Mailing) once, a
//! [`Binding`](binding::Binding) for each recipient, and out of both, at the attempt, a message.
//!
//! ```text
//! Mailing -> Compiled::new -> Compiled
//!                               | render(to, Binding, Rendering)
//!                               v
//!                             octets (RFC 5322)
//! ```
//!
//! The same arguments give the same octets, so that a retry repeats what was sent. No text of a
//! mailing or a recipient can add a header field or end one: see [`field`].

pub mod adopted;
pub mod binding;
pub mod body;
pub mod bounds;
pub mod check;
pub mod compiled;
pub mod edit;
pub mod fault;
pub mod field;
pub mod lint;
pub mod mailing;
pub mod plain;
pub mod raw;
pub mod rewrite;
pub mod template;
