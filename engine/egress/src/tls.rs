//! TLS towards next hops.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::verify_tls12_signature;
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls_platform_verifier::Verifier;

use maily_core::smtp::client::TlsPolicy;

/// Takes any certificate, but holds the peer to it: encryption against those who only listen
/// (RFC 7435). Nobody is authenticated, so nobody may rely on it for that.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Our side of TLS: one that takes any certificate, and one that does not, where that is wanted.
#[derive(Clone, Debug)]
pub struct Tls {
    any: Arc<ClientConfig>,
    verified: Option<Arc<ClientConfig>>,
}

impl Tls {
    /// Encrypts with whoever answers.
    ///
    /// # Errors
    /// The cryptographic provider lacks TLS 1.2 and 1.3, which it does not.
    pub fn opportunistic() -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
        Ok(Self { any: config(provider, verifier)?, verified: None })
    }

    /// Can also ask for a certificate of one of these issuers, or of those that the system trusts
    /// if none are given.
    ///
    /// # Errors
    /// The issuers are not usable, or the system trusts none.
    pub fn verifying(issuers: Option<Vec<CertificateDer<'static>>>) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match issuers {
            None => Arc::new(Verifier::new(Arc::clone(&provider))?),
            Some(issuers) => {
                let mut roots = RootCertStore::empty();
                for issuer in issuers {
                    roots.add(issuer)?;
                }
                let roots = Arc::new(roots);
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    .build()
                    .map_err(|error| Error::General(error.to_string()))?
            }
        };
        let verified = Some(config(provider, verifier)?);
        Ok(Self { verified, ..Self::opportunistic()? })
    }

    /// The side for this policy.
    pub(crate) fn config(&self, policy: TlsPolicy) -> Result<Arc<ClientConfig>, String> {
        match policy {
            TlsPolicy::Verify => self.verified.clone().ok_or_else(|| "no issuers".to_owned()),
            TlsPolicy::Off | TlsPolicy::May | TlsPolicy::Require => Ok(Arc::clone(&self.any)),
        }
    }
}

fn config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<Arc<ClientConfig>, Error> {
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
