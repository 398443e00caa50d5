//! What the configuration says about webhooks, as the HTTP room wants it.

use std::sync::Arc;

use maily_config::config::Config;
use maily_core::clock::Clock;
use maily_egress::post::Poster;
use maily_http::delivering::Sending;
use maily_http::retry::Retry;

use crate::sending;

/// With what events are sent.
pub fn sending(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Sending> {
    let webhooks = &config.http.webhooks;
    let tls = match sending::verifying(config) {
        Ok(tls) => Some(tls),
        Err(error) => {
            tracing::warn!(%error, "webhooks by https cannot be verified: none is sent to");
            None
        }
    };
    let resolver = sending::resolver(config, clock)?;
    Ok(Sending {
        poster: Poster::new(resolver, webhooks.allow_networks.clone(), tls),
        retry: Retry {
            delay_min: webhooks.delay_min,
            delay_max: webhooks.delay_max,
            give_up_after: webhooks.give_up_after,
        },
    })
}
