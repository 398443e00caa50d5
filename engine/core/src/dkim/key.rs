//! Private keys that sign, from PEM files: RSA (PKCS#8 or PKCS#1) and Ed25519 (PKCS#8).
//!
//! RFC 8301 3.2: RSA keys have at least 1024 bits and should have 2048; verifiers must know up to
//! 4096. We refuse what is below 2048, because receivers begin to, and above 4096, because they
//! need not know it.

use std::fmt;

use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::encoding::PublicKeyX509Der;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

/// The fewest bits of an RSA key.
pub const RSA_BITS_MIN: usize = 2_048;
/// The most bits of an RSA key.
pub const RSA_BITS_MAX: usize = 4_096;

/// Why a file holds no key that we sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// There is no private key.
    #[error("there is no private key in it: a PEM file begins with -----BEGIN PRIVATE KEY-----")]
    NotPem,
    /// A passphrase is asked for.
    #[error("the key is protected by a passphrase; write it without one: openssl pkey -in FILE")]
    Encrypted,
    /// Another kind of key.
    #[error("the key is neither RSA nor Ed25519: DKIM has no other (RFC 8463)")]
    Kind,
    /// Below [`RSA_BITS_MIN`].
    #[error("the RSA key has less than 2048 bits, too few to be trusted (RFC 8301 3.2)")]
    TooShort,
    /// Above [`RSA_BITS_MAX`].
    #[error("the RSA key has more than 4096 bits, more than verifiers must know (RFC 8301 3.2)")]
    TooLong,
}

/// The crypto library did not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature could not be computed")]
pub struct SignError;

/// A private key.
pub struct SigningKey(Kind);

enum Kind {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// The first private key of a PEM file (RFC 7468).
    ///
    /// # Errors
    /// There is none that signs; nothing of the file is in the error.
    pub fn from_pem(pem: &[u8]) -> Result<Self, InvalidKey> {
        let has = |words: &[u8]| memchr::memmem::find(pem, words).is_some();
        if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
            return Err(InvalidKey::Encrypted);
        }
        match PrivateKeyDer::from_pem_slice(pem).map_err(|_| InvalidKey::NotPem)? {
            PrivateKeyDer::Pkcs1(der) => Self::of_rsa(RsaKeyPair::from_der(der.secret_pkcs1_der())),
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                match Ed25519KeyPair::from_pkcs8(der) {
                    Ok(pair) => Ok(Self(Kind::Ed25519(Box::new(pair)))),
                    Err(_) => Self::of_rsa(RsaKeyPair::from_pkcs8(der)),
                }
            }
            _ => Err(InvalidKey::Kind),
        }
    }

    fn of_rsa(read: Result<RsaKeyPair, aws_lc_rs::error::KeyRejected>) -> Result<Self, InvalidKey> {
        let pair = read.map_err(|rejected| match rejected.description_() {
            "TooSmall" => InvalidKey::TooShort,
            "TooLarge" => InvalidKey::TooLong,
            _ => InvalidKey::Kind,
        })?;
        match pair.public_modulus_len() * 8 {
            ..RSA_BITS_MIN => Err(InvalidKey::TooShort),
            RSA_BITS_MIN..=RSA_BITS_MAX => Ok(Self(Kind::Rsa(Box::new(pair)))),
            _ => Err(InvalidKey::TooLong),
        }
    }

    /// The `a=` of its signatures.
    pub const fn algorithm(&self) -> &'static str {
        match self.0 {
            Kind::Rsa(_) => "rsa-sha256",
            Kind::Ed25519(_) => "ed25519-sha256",
        }
    }

    /// Signs what was hashed with SHA-256.
    ///
    /// # Errors
    /// The crypto library could not, for want of memory for example.
    pub fn sign(&self, hashed: &Digest) -> Result<Vec<u8>, SignError> {
        match &self.0 {
            Kind::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                // PKCS#1 v1.5 is deterministic: no randomness is asked for.
                pair.sign_digest(&RSA_PKCS1_SHA256, hashed, &mut signature)
                    .map_err(|_| SignError)?;
                Ok(signature)
            }
            // RFC 8463 3: it is the hash that is signed, with PureEdDSA.
            Kind::Ed25519(pair) => {
                let signature = pair.try_sign(hashed.as_ref()).map_err(|_| SignError)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }

    /// The TXT record to publish for it (RFC 6376 3.6.1, RFC 8463 4).
    ///
    /// # Errors
    /// The crypto library could not encode the public key.
    pub fn record(&self) -> Result<String, SignError> {
        match &self.0 {
            Kind::Rsa(pair) => {
                let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key());
                let der = der.map_err(|_| SignError)?;
                Ok(format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(der.as_ref())))
            }
            Kind::Ed25519(pair) => {
                let raw = STANDARD.encode(pair.public_key().as_ref());
                Ok(format!("v=DKIM1; k=ed25519; p={raw}"))
            }
        }
    }
}

/// Never shows the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.algorithm())
    }
}
