//! Tests of the registry's tokens.

use super::*;
use crate::chance::tests::Counted;
use crate::project::Project;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + seconds)
}

fn draft(project: Option<&str>, role: Role) -> TokenDraft {
    TokenDraft {
        project: project.map(|name| name.parse().unwrap()),
        role,
        scopes: Vec::new(),
        label: None,
        expires_at: None,
        created_by: "uid:0".into(),
    }
}

struct World {
    folder: tempfile::TempDir,
    registry: Registry,
    chance: Counted,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path()).unwrap();
        for name in ["a", "b"] {
            let project = Project {
                name: name.parse().unwrap(),
                description: None,
                created_at: at(0),
                created_by: "uid:0".into(),
            };
            registry.create_project(&project).await.unwrap();
        }
        Self { folder, registry, chance: Counted::default() }
    }

    async fn make(&self, draft: TokenDraft) -> (SecretToken, Token) {
        let all = Role::Owner.permissions();
        self.registry.create_token(draft, all, at(0), &self.chance).await.unwrap()
    }

    fn restart(self) -> Self {
        let Self { folder, registry, chance } = self;
        drop(registry);
        let registry = Registry::open(folder.path()).unwrap();
        Self { folder, registry, chance }
    }
}

#[tokio::test]
async fn a_token_opens_its_project_after_a_restart_until_it_is_revoked() {
    let world = World::new().await;
    let (secret, token) = world.make(draft(Some("a"), Role::Editor)).await;
    let world = world.restart();
    let holder = world.registry.prove(secret.reveal(), at(1)).unwrap();
    assert_eq!(holder.token, token);
    assert_eq!(holder.permissions, Role::Editor.permissions());
    let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
    assert!(world.registry.token(Some(&b), &token.id).is_none(), "of another project");
    let stranger = world.registry.revoke_token(Some(&b), &token.id).await;
    assert_eq!(stranger, Err(RegistryError::NotFound("token")));
    world.registry.revoke_token(Some(&a), &token.id).await.unwrap();
    assert_eq!(world.registry.prove(secret.reveal(), at(1)).unwrap_err(), Denied::Wrong);
    let world = world.restart();
    assert_eq!(world.registry.prove(secret.reveal(), at(1)).unwrap_err(), Denied::Wrong);
}

#[tokio::test]
async fn a_token_of_the_same_id_with_another_secret_opens_nothing() {
    let world = World::new().await;
    let (secret, token) = world.make(draft(Some("a"), Role::Owner)).await;
    let other = SecretToken::draw(&world.chance).unwrap();
    let digits = PREFIX_AND_ID;
    let body = format!("{}{}", &secret.reveal()[..digits], &other.reveal()[digits..62]);
    let sum = crate::base62::encode(&crc32c::crc32c(body.as_bytes()).to_be_bytes());
    let forged = SecretToken::parse(&format!("{body}{sum}")).unwrap();
    assert_eq!(forged.id(), token.id);
    assert_eq!(world.registry.prove(forged.reveal(), at(1)).unwrap_err(), Denied::Wrong);
    assert_eq!(world.registry.prove("", at(1)).unwrap_err(), Denied::Wrong);
    assert_eq!(world.registry.prove("mk_live_", at(1)).unwrap_err(), Denied::Wrong);
}

/// Characters of the prefix and the id.
const PREFIX_AND_ID: usize = 19;

#[tokio::test]
async fn a_token_ends_when_it_was_told_to() {
    let world = World::new().await;
    let until = TokenDraft { expires_at: Some(at(10)), ..draft(Some("a"), Role::Api) };
    let (secret, _) = world.make(until).await;
    assert!(world.registry.prove(secret.reveal(), at(9)).is_ok());
    assert_eq!(world.registry.prove(secret.reveal(), at(10)).unwrap_err(), Denied::Expired);
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_have() {
    let world = World::new().await;
    for maker in Role::ALL {
        for made in Role::ALL {
            let may = maker.permissions().cover(made.permissions());
            let outcome = world
                .registry
                .create_token(draft(Some("a"), made), maker.permissions(), at(0), &world.chance)
                .await;
            assert_eq!(outcome.is_ok(), may, "{maker:?} makes {made:?}");
        }
    }
    assert!(!Role::Admin.permissions().cover(Role::Owner.permissions()));
    let nowhere = world
        .registry
        .create_token(
            draft(Some("nowhere"), Role::Api),
            Role::Owner.permissions(),
            at(0),
            &world.chance,
        )
        .await;
    assert_eq!(nowhere.unwrap_err(), RegistryError::NotFound("project"));
}

#[tokio::test]
async fn a_list_shows_those_of_its_project_page_by_page() {
    let world = World::new().await;
    for number in 0..7 {
        world.make(draft(Some(if number % 2 == 0 { "a" } else { "b" }), Role::Api)).await;
    }
    world.make(draft(None, Role::Owner)).await;
    let a: Name = "a".parse().unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = world.registry.tokens(Some(&a), after.as_ref(), 2);
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        seen.extend(page);
    }
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|token| token.project.as_ref() == Some(&a)));
    assert_eq!(world.registry.tokens(None, None, 100).len(), 8);
}

#[tokio::test]
async fn the_last_use_is_written_down_once_an_hour_and_survives() {
    let world = World::new().await;
    let (_, token) = world.make(draft(Some("a"), Role::Api)).await;
    let seen = |world: &World| world.registry.token(None, &token.id).unwrap().last_used_at;
    world.registry.used(&token, at(5)).await.unwrap();
    assert_eq!(seen(&world), Some(at(5)));
    world.registry.used(&token, at(3_604)).await.unwrap();
    assert_eq!(seen(&world), Some(at(5)), "within the hour");
    world.registry.used(&token, at(3_605)).await.unwrap();
    let world = world.restart();
    assert_eq!(seen(&world), Some(at(3_605)));
    world.registry.revoke_token(None, &token.id).await.unwrap();
    world.registry.used(&token, at(9_999)).await.unwrap();
    assert!(world.registry.token(None, &token.id).is_none(), "a use does not bring it back");
}

#[tokio::test]
async fn a_jwt_does_what_its_token_may_and_ends_with_it() {
    let world = World::new().await;
    let (_, token) = world.make(draft(Some("a"), Role::Admin)).await;
    let issue = |scopes: Vec<Scope>| {
        let world = &world;
        let id = token.id.clone();
        async move {
            let issued = world.registry.issue_jwt(&id, &scopes, at(1), &world.chance).await;
            issued.unwrap()
        }
    };
    let (whole, end) = issue(Vec::new()).await;
    assert_eq!(end, at(901));
    let holder = world.registry.prove(&whole, at(2)).unwrap();
    assert_eq!((holder.permissions, holder.expires_at), (token.permissions(), Some(at(901))));
    let (narrow, _) = issue(vec![Scope::Send]).await;
    let holder = world.registry.prove(&narrow, at(2)).unwrap();
    assert_eq!(holder.permissions.names(), ["messages:send", "messages:cancel"]);
    assert_eq!(world.registry.prove(&whole, at(901)).unwrap_err(), Denied::Expired);
    let world = world.restart();
    assert!(world.registry.prove(&whole, at(3)).is_ok(), "the key survives");
    world.registry.revoke_token(None, &token.id).await.unwrap();
    assert_eq!(world.registry.prove(&whole, at(3)).unwrap_err(), Denied::Expired);
}

#[tokio::test]
async fn keys_are_replaced_when_old_and_kept_while_their_jwts_live() {
    let world = World::new().await;
    let (_, token) = world.make(draft(Some("a"), Role::Admin)).await;
    let week = jwt::KEY_LIFETIME.as_secs();
    let issue = |seconds| {
        let world = &world;
        let id = token.id.clone();
        async move {
            let issued = world.registry.issue_jwt(&id, &[], at(seconds), &world.chance).await;
            issued.unwrap().0
        }
    };
    issue(0).await;
    let last = issue(week - 1).await;
    assert_eq!(world.registry.keys.read().len(), 1);
    let first = issue(week).await;
    assert_eq!(world.registry.keys.read().len(), 2);
    for text in [&last, &first] {
        assert!(world.registry.prove(text, at(week + 1)).is_ok());
    }
    issue(2 * week).await;
    assert_eq!(world.registry.keys.read().len(), 2, "the first is over, the second is not");
}
