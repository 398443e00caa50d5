//! Signatures of Standard Webhooks: HMAC-SHA256 over id, time and body, one for each secret.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use maily_core::clock::Timestamp;
use maily_registry::webhook::SigningSecret;
use maily_registry::webhook::Webhook;

/// A secret as its owner is shown it.
pub fn shown(secret: &SigningSecret) -> String {
    format!("whsec_{}", STANDARD.encode(secret.0))
}

/// The fields that go with a body.
pub fn fields(
    webhook: &Webhook,
    id: &str,
    now: Timestamp,
    body: &str,
) -> [(&'static str, String); 3] {
    let time = now.as_secs();
    let signed = format!("{id}.{time}.{body}");
    let signatures = webhook.secrets(now).map(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.0);
        format!("v1,{}", STANDARD.encode(hmac::sign(&key, signed.as_bytes())))
    });
    let signatures = signatures.collect::<Vec<_>>().join(" ");
    [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", time.to_string()),
        ("webhook-signature", signatures),
    ]
}
