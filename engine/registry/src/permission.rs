//! Who may do what: [`Permission`]s, and the [`Role`]s and [`Scope`]s that bundle them.
//!
//! The table is here and nowhere else. A token has a role; scopes narrow it. What somebody may do
//! is what both allow.

use serde::Deserialize;
use serde::Serialize;

/// One thing that may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Hand in mail.
    SendMessages,
    /// Read what became of messages.
    ReadMessages,
    /// Take back mail that waits.
    CancelMessages,
    /// Read events.
    ReadEvents,
    /// Read templates.
    ReadTemplates,
    /// Store and remove templates.
    WriteTemplates,
    /// Read suppressions.
    ReadSuppressions,
    /// Add and lift suppressions.
    WriteSuppressions,
    /// Read webhooks, without their secrets.
    ReadWebhooks,
    /// Make, change and remove webhooks.
    WriteWebhooks,
    /// Read of projects.
    ReadProjects,
    /// Make projects.
    WriteProjects,
    /// Read of tokens, without their secrets.
    ReadTokens,
    /// Make and revoke tokens.
    WriteTokens,
    /// Read the audit log.
    ReadAudit,
    /// Read how plugins fare.
    ReadPlugins,
    /// Switch plugins, and try versions of them.
    WritePlugins,
    /// See the queue and the sessions: of all projects.
    ReadQueue,
    /// Steer the queue, and end sessions.
    WriteQueue,
}

use Permission::*;

/// All permissions, with their names.
pub const PERMISSIONS: [(Permission, &str); 19] = [
    (SendMessages, "messages:send"),
    (ReadMessages, "messages:read"),
    (CancelMessages, "messages:cancel"),
    (ReadEvents, "events:read"),
    (ReadTemplates, "templates:read"),
    (WriteTemplates, "templates:write"),
    (ReadSuppressions, "suppressions:read"),
    (WriteSuppressions, "suppressions:write"),
    (ReadWebhooks, "webhooks:read"),
    (WriteWebhooks, "webhooks:write"),
    (ReadProjects, "projects:read"),
    (WriteProjects, "projects:write"),
    (ReadTokens, "tokens:read"),
    (WriteTokens, "tokens:write"),
    (ReadAudit, "audit:read"),
    (ReadPlugins, "plugins:read"),
    (WritePlugins, "plugins:write"),
    (ReadQueue, "queue:read"),
    (WriteQueue, "queue:write"),
];

impl Permission {
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u32);

impl Permissions {
    /// Those of a list.
    pub const fn of(list: &[Permission]) -> Self {
        let (mut bits, mut rest) = (0, list);
        while let [first, others @ ..] = rest {
            bits |= first.bit();
            rest = others;
        }
        Self(bits)
    }

    /// Whether this one is among them.
    pub const fn allow(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Whether all of the others are among them.
    pub const fn cover(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }

    /// Those that both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Their names, such as `messages:send`.
    pub fn names(self) -> Vec<&'static str> {
        let ours = PERMISSIONS.iter().filter(|(permission, _)| self.allow(*permission));
        ours.map(|(_, name)| *name).collect()
    }

    /// Those that any of these scopes has, or all if there is none.
    pub fn of_scopes(scopes: &[Scope]) -> Self {
        if scopes.is_empty() {
            return Self(u32::MAX);
        }
        Self(scopes.iter().fold(0, |bits, scope| bits | scope.permissions().0))
    }
}

/// The names of bundles that people get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything in a project.
    Admin,
    /// Writes what is sent, and reads; does not send.
    Editor,
    /// Reads.
    Viewer,
    /// A program that hands in mail and reads what became of it.
    Api,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Admin, Self::Editor, Self::Viewer, Self::Api];

    /// What it may do.
    pub const fn permissions(self) -> Permissions {
        match self {
            Self::Owner => Permissions::of(&[
                SendMessages,
                ReadMessages,
                CancelMessages,
                ReadEvents,
                ReadTemplates,
                WriteTemplates,
                ReadSuppressions,
                WriteSuppressions,
                ReadWebhooks,
                WriteWebhooks,
                ReadProjects,
                WriteProjects,
                ReadTokens,
                WriteTokens,
                ReadAudit,
                ReadPlugins,
                WritePlugins,
                ReadQueue,
                WriteQueue,
            ]),
            Self::Admin => Permissions::of(&[
                SendMessages,
                ReadMessages,
                CancelMessages,
                ReadEvents,
                ReadTemplates,
                WriteTemplates,
                ReadSuppressions,
                WriteSuppressions,
                ReadWebhooks,
                WriteWebhooks,
                ReadProjects,
                ReadTokens,
                WriteTokens,
                ReadAudit,
                ReadPlugins,
                ReadQueue,
                WriteQueue,
            ]),
            Self::Editor => Permissions::of(&[
                ReadMessages,
                ReadEvents,
                ReadTemplates,
                WriteTemplates,
                ReadSuppressions,
                ReadProjects,
            ]),
            Self::Viewer => Permissions::of(&[
                ReadMessages,
                ReadEvents,
                ReadTemplates,
                ReadSuppressions,
                ReadProjects,
                ReadQueue,
            ]),
            Self::Api => Permissions::of(&[
                SendMessages,
                ReadMessages,
                CancelMessages,
                ReadEvents,
                ReadTemplates,
                ReadSuppressions,
            ]),
        }
    }
}

/// The names of parts that a role is narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Hand in mail, and take back what waits.
    Send,
    /// Read.
    Read,
    /// Change templates.
    Templates,
    /// Change suppressions.
    Suppressions,
    /// Change webhooks.
    Webhooks,
    /// Projects, tokens, plugins, the queue and the audit log.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 6] =
        [Self::Send, Self::Read, Self::Templates, Self::Suppressions, Self::Webhooks, Self::Admin];

    /// What it leaves of a role.
    pub const fn permissions(self) -> Permissions {
        match self {
            Self::Send => Permissions::of(&[SendMessages, CancelMessages]),
            Self::Read => Permissions::of(&[
                ReadMessages,
                ReadEvents,
                ReadTemplates,
                ReadSuppressions,
                ReadWebhooks,
                ReadProjects,
                ReadQueue,
            ]),
            Self::Templates => Permissions::of(&[ReadTemplates, WriteTemplates]),
            Self::Suppressions => Permissions::of(&[ReadSuppressions, WriteSuppressions]),
            Self::Webhooks => Permissions::of(&[ReadWebhooks, WriteWebhooks]),
            Self::Admin => Permissions::of(&[
                ReadProjects,
                WriteProjects,
                ReadTokens,
                WriteTokens,
                ReadAudit,
                ReadPlugins,
                WritePlugins,
                ReadQueue,
                WriteQueue,
            ]),
        }
    }
}

/// What a role may do, narrowed to these scopes, if there are any.
pub fn granted(role: Role, scopes: &[Scope]) -> Permissions {
    role.permissions().and(Permissions::of_scopes(scopes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_this_one() {
        let table = "
            messages:send       OA..P
            messages:read       OAEVP
            messages:cancel     OA..P
            events:read         OAEVP
            templates:read      OAEVP
            templates:write     OAE..
            suppressions:read   OAEVP
            suppressions:write  OA...
            webhooks:read       OA...
            webhooks:write      OA...
            projects:read       OAEV.
            projects:write      O....
            tokens:read         OA...
            tokens:write        OA...
            audit:read          OA...
            plugins:read        OA...
            plugins:write       O....
            queue:read          OA.V.
            queue:write         OA...";
        let rows: Vec<_> = table.trim().lines().map(str::trim).collect();
        assert_eq!(rows.len(), PERMISSIONS.len());
        for (row, (permission, name)) in rows.iter().zip(PERMISSIONS) {
            let letters = ["O", "A", "E", "V", "P"];
            let mark = |(role, letter): (&Role, &'static str)| {
                if role.permissions().allow(permission) { letter } else { "." }
            };
            let marks: String = Role::ALL.iter().zip(letters).map(mark).collect();
            assert_eq!(*row, format!("{name:<20}{marks}"));
        }
    }

    #[test]
    fn scopes_narrow_and_never_widen() {
        for role in Role::ALL {
            assert_eq!(granted(role, &[]), role.permissions());
            for scope in Scope::ALL {
                assert!(role.permissions().cover(granted(role, &[scope])), "{role:?} {scope:?}");
            }
            assert_eq!(granted(role, &Scope::ALL), role.permissions(), "{role:?}");
        }
        let sends = granted(Role::Admin, &[Scope::Send]);
        assert_eq!(sends.names(), ["messages:send", "messages:cancel"]);
        assert!(granted(Role::Viewer, &[Scope::Send]).names().is_empty());
    }

    #[test]
    fn each_permission_has_a_bit_of_its_own() {
        for (index, (permission, _)) in PERMISSIONS.iter().enumerate() {
            assert_eq!(permission.bit(), 1 << index);
        }
    }
}
