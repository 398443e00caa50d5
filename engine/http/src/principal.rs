//! Who asks, and what they may do.

use axum::extract::FromRequestParts;
use hyper::http::request::Parts as Head;

use maily_core::clock::Timestamp;
use maily_registry::issuing::Holder;
use maily_registry::name::Name;
use maily_registry::permission::Permissions;
use maily_registry::permission::Role;
use maily_registry::token::TokenId;

use crate::fault::Fault;

/// By what somebody proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A token.
    Token(TokenId),
    /// A JWT made from this token.
    Jwt(TokenId),
    /// The kernel says so: a process of this user, on our socket.
    Peer(u32),
}

/// Somebody.
#[derive(Clone, Debug)]
pub struct Principal {
    /// How they proved it.
    pub proof: Proof,
    /// The only project that they may act in; none for every one.
    pub bound: Option<Name>,
    /// Their role.
    pub role: Role,
    /// What they may do.
    pub permissions: Permissions,
    /// Until when.
    pub expires_at: Option<Timestamp>,
}

impl Principal {
    /// Whoever is let to our socket owns the daemon.
    pub(crate) fn of_peer(uid: u32) -> Self {
        let role = Role::Owner;
        let permissions = role.permissions();
        Self { proof: Proof::Peer(uid), bound: None, role, permissions, expires_at: None }
    }

    /// The holder of a token, or of a JWT made from it.
    pub(crate) fn of_holder(holder: &Holder, jwt: bool) -> Self {
        let id = holder.token.id.clone();
        Self {
            proof: if jwt { Proof::Jwt(id) } else { Proof::Token(id) },
            bound: holder.token.project.clone(),
            role: holder.token.role,
            permissions: holder.permissions,
            expires_at: holder.expires_at,
        }
    }

    /// As the audit log says it.
    pub fn actor(&self) -> Box<str> {
        match &self.proof {
            Proof::Token(id) => format!("token:{id}").into(),
            Proof::Jwt(id) => format!("jwt:{id}").into(),
            Proof::Peer(uid) => format!("uid:{uid}").into(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Head, _: &S) -> Result<Self, Fault> {
        let known = head.extensions.get::<Self>().cloned();
        known.ok_or_else(|| Fault::ours(&"a route without a principal asks for one"))
    }
}

/// The project that a request is about.
#[derive(Clone, Debug)]
pub(crate) struct Chosen(pub(crate) Option<Name>);

/// The project that a request is about, for routes that need one.
#[derive(Clone, Debug)]
pub struct InProject(pub Name);

impl<S: Send + Sync> FromRequestParts<S> for InProject {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Head, _: &S) -> Result<Self, Fault> {
        let chosen = head.extensions.get::<Chosen>().and_then(|chosen| chosen.0.clone());
        let why = "you may act in every project: name one in the field Maily-Project";
        chosen.map(Self).ok_or_else(|| Fault::malformed(why))
    }
}

/// The project that a request is about, or none for all of them.
#[derive(Clone, Debug)]
pub struct MaybeProject(pub Option<Name>);

impl<S: Send + Sync> FromRequestParts<S> for MaybeProject {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Head, _: &S) -> Result<Self, Fault> {
        Ok(Self(head.extensions.get::<Chosen>().and_then(|chosen| chosen.0.clone())))
    }
}
