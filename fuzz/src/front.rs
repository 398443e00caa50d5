//! What comes in by HTTP, and what the registry reads back.

use maily_api::message::InjectRequest;
use maily_api::template::TemplateContent;
use maily_http::body;
use maily_registry::audit_entry::Entry;
use maily_registry::audit_entry::Hash;
use maily_registry::name::NAME_CHARACTERS_MAX;
use maily_registry::name::Name;
use maily_registry::token::SecretToken;
use maily_registry::token::TokenId;

/// Bodies of requests.
pub fn request(data: &[u8]) {
    if let Err(fault) = body::parse::<InjectRequest>(data) {
        assert!([400, 422].contains(&fault.status()));
    }
    if let Ok(content) = body::parse::<TemplateContent>(data) {
        let written = serde_json::to_vec(&content).expect("what was read can be written");
        let again = body::parse::<TemplateContent>(&written).expect("and read again");
        assert_eq!(again, content);
    }
}

/// What a client shows as its token, and what it names.
pub fn shown(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(token) = SecretToken::parse(text) {
        assert_eq!(token.reveal(), text);
        assert_eq!(TokenId::parse(token.id().as_str()), Some(token.id()));
    }
    if let Ok(name) = text.parse::<Name>() {
        assert!(!text.is_empty() && text.len() <= NAME_CHARACTERS_MAX);
        assert!(text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'/'));
        assert_eq!(name.as_str(), text);
    }
    if let Some(hash) = Hash::parse(text) {
        assert_eq!(hash.to_string(), text.to_ascii_lowercase());
    }
}

/// Entries of the audit log.
pub fn audit_entry(data: &[u8]) {
    if let Some(entry) = Entry::decode(data) {
        let written = entry.encode().expect("what was read can be written");
        assert_eq!(Entry::decode(&written), Some(entry));
    }
}
