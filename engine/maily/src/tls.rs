//! Certificates for sinks and development: made on the spot, trusted by nobody.

use std::sync::Arc;

use anyhow::Context;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

/// A server side of TLS with a self-signed certificate for this name.
pub fn self_signed(name: &str) -> anyhow::Result<TlsAcceptor> {
    Ok(TlsAcceptor::from(self_signed_config(name)?))
}

/// The same as a configuration.
pub fn self_signed_config(name: &str) -> anyhow::Result<Arc<ServerConfig>> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()])
        .context("a self-signed certificate could not be made")?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
        .map_err(|error| anyhow::anyhow!("the key just made is not usable: {error}"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    Ok(Arc::new(config))
}
