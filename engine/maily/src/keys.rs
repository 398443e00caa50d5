//! Reads the keys that sign mail, from the files that the configuration names.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

use maily_config::check::Fault;
use maily_config::config::Config;
use maily_config::config::sending::Dkim;
use maily_core::dkim::key::SigningKey;
use maily_core::dkim::keyring::Keyring;
use maily_core::dkim::keyring::Signer;

/// Octets of a file with a key; an RSA key of 4096 bits has about 3,300.
const KEY_FILE_OCTETS_MAX: u64 = 64 * 1_024;

/// All keys of the configuration.
///
/// # Errors
/// All that cannot be used, each pointing at the key of the configuration that is wrong. Nothing of
/// a file's content is told.
pub fn load(config: &Config) -> Result<Keyring, Vec<Fault>> {
    let mut keyring = Keyring::default();
    let mut faults = Vec::new();
    for (index, dkim) in config.dkim.iter().enumerate() {
        match signer(dkim) {
            Ok(signer) => keyring.add(signer),
            Err((key, text)) => {
                faults.push(Fault { keys: vec![format!("dkim.{index}.{key}")], text });
            }
        }
    }
    if faults.is_empty() { Ok(keyring) } else { Err(faults) }
}

fn signer(dkim: &Dkim) -> Result<Signer, (&'static str, String)> {
    let path = dkim.key.display();
    let pem =
        read(&dkim.key).map_err(|error| ("key", format!("{path} cannot be read: {error}")))?;
    let key = SigningKey::from_pem(&pem).map_err(|error| ("key", format!("{path}: {error}")))?;
    Signer::new(dkim.domain.clone(), &dkim.selector, key)
        .map_err(|error| ("selector", format!("`{}`: {error}", dkim.selector)))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    File::open(path)?.take(KEY_FILE_OCTETS_MAX + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > KEY_FILE_OCTETS_MAX {
        let text = format!("it has more than {KEY_FILE_OCTETS_MAX} octets, too many for a key");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use maily_config::load::load_and;

    use super::*;

    const GOOD: &str = include_str!("../../core/src/dkim/keys/ed25519.pem");
    const SHORT: &str = include_str!("../../core/src/dkim/keys/rsa-1024.pem");

    /// Checks a table with this selector and key file; gives the error's text without the folder.
    fn checked(selector: &str, key: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("good.pem"), GOOD).unwrap();
        fs::write(at("short.pem"), SHORT).unwrap();
        fs::write(at("long.pem"), GOOD.repeat(600)).unwrap();
        let text = format!(
            "[[dkim]]\ndomain = \"example.net\"\nselector = \"{selector}\"\nkey = \"{}\"\n",
            at(key).display()
        );
        fs::write(at("maily.toml"), text).unwrap();
        let loaded = load_and(&at("maily.toml"), |config| load(config).err().unwrap_or_default());
        let folder = format!("{}/", folder.path().display());
        loaded.map(|_| ()).map_err(|errors| errors.to_string().replace(&folder, ""))
    }

    fn refused(selector: &str, key: &str, beginning: &str) {
        let text = checked(selector, key).unwrap_err();
        assert!(text.starts_with(beginning), "{text}");
        assert!(!text.contains("MII"), "{text}");
    }

    #[test]
    fn a_key_that_cannot_be_used_is_told_with_file_and_line() {
        assert_eq!(checked("s1", "good.pem"), Ok(()));
        refused("s1", "none.pem", "maily.toml:4:7: none.pem cannot be read: No such file");
        refused("s1", ".", "maily.toml:4:7: . cannot be read: Is a directory");
        refused("s1", "short.pem", "maily.toml:4:7: short.pem: the RSA key has less than 2048");
        refused("s1", "maily.toml", "maily.toml:4:7: maily.toml: there is no private key in it");
        refused("s1", "long.pem", "maily.toml:4:7: long.pem cannot be read: it has more than");
        refused("s;1", "good.pem", "maily.toml:3:12: `s;1`: a selector is made of letters");
    }
}
