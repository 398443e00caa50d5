//! The registry's tokens: making, revoking and proving them, and the JWTs made from them.

use std::time::Duration;

use maily_core::clock::Timestamp;
use maily_journal::change::Change;

use crate::chance::Chance;
use crate::error::RegistryError;
use crate::jwt;
use crate::jwt::Key;
use crate::jwt::Unproven;
use crate::name::Name;
use crate::permission;
use crate::permission::Permissions;
use crate::permission::Role;
use crate::permission::Scope;
use crate::registry::Registry;
use crate::shelf;
use crate::shelf::Kind;
use crate::token::SecretToken;
use crate::token::TOKENS_MAX;
use crate::token::Token;
use crate::token::TokenId;

/// A token's use is written down this often at most: a sync for each would cost more than it tells.
pub const USED_GRAIN: Duration = Duration::from_secs(3_600);
/// Rows looked at at once for those of one project.
const ROWS: usize = 256;

/// A token to be made.
#[derive(Clone, Debug)]
pub struct TokenDraft {
    /// Whose it is to be; none for every project.
    pub project: Option<Name>,
    /// What it may do at most.
    pub role: Role,
    /// Only this part of it, if any are named.
    pub scopes: Vec<Scope>,
    /// What it is for.
    pub label: Option<Box<str>>,
    /// Until when it is to be good.
    pub expires_at: Option<Timestamp>,
    /// Who makes it, as the audit log says it.
    pub created_by: Box<str>,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// What was shown opens nothing.
    Wrong,
    /// It did once.
    Expired,
}

/// Who was let in: a token, and to what its JWT narrows it.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The token.
    pub token: Token,
    /// What may be done.
    pub permissions: Permissions,
    /// Until when, if it has an end.
    pub expires_at: Option<Timestamp>,
}

fn key(id: &TokenId) -> bytes::Bytes {
    shelf::key(Kind::Token, &[id.as_str().as_bytes()])
}

impl Registry {
    /// Makes a token for someone who may do no more than `granter` may. Gives it with its secret,
    /// which is kept nowhere.
    ///
    /// # Errors
    /// It would be too much, there are too many, or there is no such project.
    pub async fn create_token(
        &self,
        draft: TokenDraft,
        granter: Permissions,
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<(SecretToken, Token), RegistryError> {
        if !granter.cover(permission::granted(draft.role, &draft.scopes)) {
            return Err(RegistryError::TooMuch);
        }
        let _turn = self.writing.lock().await;
        if draft.project.as_ref().is_some_and(|name| self.project(name).is_none()) {
            return Err(RegistryError::NotFound("project"));
        }
        if self.shelf.keys(&shelf::key(Kind::Token, &[]), TOKENS_MAX).len() >= TOKENS_MAX {
            return Err(RegistryError::TooMany { what: "tokens", most: TOKENS_MAX });
        }
        let secret = SecretToken::draw(chance)?;
        let token = Token {
            id: secret.id(),
            digest: secret.digest(),
            project: draft.project,
            role: draft.role,
            scopes: draft.scopes,
            label: draft.label,
            created_at: now,
            created_by: draft.created_by,
            expires_at: draft.expires_at,
            last_used_at: None,
        };
        if self.shelf.contains(&key(&token.id)) {
            return Err(RegistryError::Exists("token"));
        }
        self.shelf.change(vec![shelf::put(key(&token.id), &token)?]).await?;
        Ok((secret, token))
    }

    /// The token with this id, if it is of this project; of any, if none is named.
    pub fn token(&self, project: Option<&Name>, id: &TokenId) -> Option<Token> {
        let token: Token = self.shelf.get(&key(id))?;
        (project.is_none() || token.project.as_ref() == project).then_some(token)
    }

    /// Up to so many tokens of this project (of all, if none is named) behind this one, by id.
    pub fn tokens(
        &self,
        project: Option<&Name>,
        after: Option<&TokenId>,
        limit: usize,
    ) -> Vec<Token> {
        let mut found = Vec::new();
        let mut after = after.map(key);
        while found.len() < limit {
            let prefix = shelf::key(Kind::Token, &[]);
            let rows: Vec<Token> = self.shelf.rows(&prefix, after.as_deref(), ROWS);
            let Some(last) = rows.last() else { break };
            after = Some(key(&last.id));
            let ours = rows.into_iter();
            found.extend(ours.filter(|row| project.is_none() || row.project.as_ref() == project));
        }
        found.truncate(limit);
        found
    }

    /// Revokes a token: from now on it opens nothing, and its JWTs neither.
    ///
    /// # Errors
    /// There is none of this id in this project.
    pub async fn revoke_token(
        &self,
        project: Option<&Name>,
        id: &TokenId,
    ) -> Result<(), RegistryError> {
        let _turn = self.writing.lock().await;
        self.token(project, id).ok_or(RegistryError::NotFound("token"))?;
        self.shelf.change(vec![Change::Remove(key(id))]).await?;
        self.used.lock().remove(id);
        Ok(())
    }

    /// Who holds what is shown: a token, or a JWT made from one.
    ///
    /// # Errors
    /// Nobody, or not any more.
    pub fn prove(&self, shown: &str, now: Timestamp) -> Result<Holder, Denied> {
        if shown.starts_with(crate::token::PREFIX) {
            let secret = SecretToken::parse(shown).ok_or(Denied::Wrong)?;
            let token = self.token(None, &secret.id()).ok_or(Denied::Wrong)?;
            if !token.is_opened_by(&secret) {
                return Err(Denied::Wrong);
            }
            return holder(token, &[], now);
        }
        let claims = jwt::verify(&self.keys.read(), shown, now).map_err(|why| match why {
            Unproven::Forged => Denied::Wrong,
            Unproven::Expired => Denied::Expired,
        })?;
        // The token may have been revoked since.
        let token = self.token(None, &claims.sub).ok_or(Denied::Expired)?;
        let mut holder = holder(token, &claims.scopes, now)?;
        let end = Timestamp::from_secs(claims.exp);
        holder.expires_at = Some(holder.expires_at.map_or(end, |sooner| sooner.min(end)));
        Ok(holder)
    }

    /// Notes that a token was used, now and then.
    ///
    /// # Errors
    /// It could not be written. The use itself needs not fail for it.
    pub async fn used(&self, token: &Token, now: Timestamp) -> Result<(), RegistryError> {
        let due = |last: Timestamp| now.since(last) >= USED_GRAIN;
        {
            let mut used = self.used.lock();
            let noted = used.get(&token.id).copied().or(token.last_used_at);
            if noted.is_some_and(|last| !due(last)) {
                return Ok(());
            }
            used.insert(token.id.clone(), now);
        }
        let _turn = self.writing.lock().await;
        // As it is now: it may have been revoked meanwhile.
        let Some(token) = self.token(None, &token.id) else { return Ok(()) };
        let noted = Token { last_used_at: Some(now), ..token };
        self.shelf.change(vec![shelf::put(key(&noted.id), &noted)?]).await
    }

    /// Makes a JWT from a token, good for [`jwt::JWT_LIFETIME`] and for these scopes; gives it and
    /// its end. The keys are replaced when they are old.
    ///
    /// # Errors
    /// A new key could not be made or kept.
    pub async fn issue_jwt(
        &self,
        token: &TokenId,
        scopes: &[Scope],
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<(String, Timestamp), RegistryError> {
        let young = |keys: &[Key]| keys.iter().find(|key| !key.is_old(now)).cloned();
        let known = young(&self.keys.read());
        if let Some(known) = known {
            return known.sign(token.clone(), scopes, now);
        }
        let _turn = self.writing.lock().await;
        let made = young(&self.keys.read());
        let fresh = match made {
            Some(made) => made,
            None => self.replace_keys(now, chance).await?,
        };
        fresh.sign(token.clone(), scopes, now)
    }

    async fn replace_keys(
        &self,
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<Key, RegistryError> {
        let row = |key: &Key| shelf::key(Kind::Key, &[key.id().as_bytes()]);
        let fresh = Key::draw(chance, now)?;
        let (over, mut kept): (Vec<_>, Vec<_>) =
            self.keys.read().iter().cloned().partition(|key| key.is_over(now));
        let mut changes = vec![shelf::put(row(&fresh), &fresh)?];
        changes.extend(over.iter().map(|key| Change::Remove(row(key))));
        self.shelf.change(changes).await?;
        kept.push(fresh.clone());
        *self.keys.write() = kept;
        Ok(fresh)
    }
}

fn holder(token: Token, scopes: &[Scope], now: Timestamp) -> Result<Holder, Denied> {
    if token.has_expired(now) {
        return Err(Denied::Expired);
    }
    let permissions = token.permissions().and(Permissions::of_scopes(scopes));
    let expires_at = token.expires_at;
    Ok(Holder { token, permissions, expires_at })
}

#[cfg(test)]
#[path = "issuing_tests.rs"]
mod tests;
