//! The certificate that listeners show, from its files.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use maily_config::config::receiving::Tls;

/// Reads the certificate and its issuers.
pub fn chain(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("no certificate can be read from {}", path.display()))?;
    if certificates.is_empty() {
        bail!("there is no certificate in {}", path.display());
    }
    Ok(certificates)
}

/// Reads the private key.
pub fn key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path)
        .with_context(|| format!("no private key can be read from {}", path.display()))
}

/// Reads certificate and key, and holds them against each other.
pub fn load(tls: &Tls) -> anyhow::Result<Arc<ServerConfig>> {
    let (Some(chain_path), Some(key_path)) = (&tls.certificate, &tls.key) else {
        bail!("a listener with TLS needs tls.certificate and tls.key");
    };
    let (certificates, private) = (chain(chain_path)?, key(key_path)?);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .with_context(|| {
            format!("{} and {} do not fit", chain_path.display(), key_path.display())
        })?;
    Ok(Arc::new(config))
}
