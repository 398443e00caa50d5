//! What operators chose about plugins while the daemon ran: which are off, which version of one is
//! used, and which is tried. Versions of the plugin `promo` lie beside its folder, as `promo@next`
//! or whatever else stands behind the `@`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use maily_core::clock::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::fault::Fault;
use crate::manifest::MANIFEST;

/// Versions of one plugin that can be gone back to.
pub const VERSIONS_MAX: usize = 10;

/// The most characters of a version's name.
pub const VERSION_CHARACTERS_MAX: usize = 63;

/// Choices, by plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Choices(BTreeMap<String, Chosen>);

/// What was chosen about one plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chosen {
    /// It is not loaded.
    pub disabled: bool,
    /// Versions that were promoted: the last is used, the others can be gone back to. Without any
    /// its own folder is used.
    pub versions: Vec<String>,
    /// The version that is tried.
    pub trial: Option<Trial>,
}

/// A version that is tried on a part of all, chosen by hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// What stands behind the `@` of its folder.
    pub version: String,
    /// For how many of a hundred contacts or messages.
    pub percent: u8,
    /// When it ends by itself, in seconds since 1970; none means that somebody ends it.
    pub until: Option<u64>,
}

/// What an operator wants of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Load it again.
    Enable,
    /// Load it no longer.
    Disable,
    /// Try a version.
    Stage {
        /// What stands behind the `@` of its folder.
        version: String,
        /// For how many of a hundred.
        percent: u8,
        /// For how long; none means until somebody ends it.
        time: Option<(Timestamp, Duration)>,
    },
    /// Use the version that is tried for all.
    Promote,
    /// End the trial; without one, go back to the version before.
    RollBack,
}

/// Why nothing was chosen.
#[derive(Debug, thiserror::Error)]
pub enum Unchosen {
    /// There is none.
    #[error("there is no plugin of this name in plugins.folder")]
    Unknown,
    /// The configuration has the last word.
    #[error("the configuration says `enabled = false` for it: change it there")]
    Configured,
    /// It is off.
    #[error("it is disabled: enable it first")]
    Disabled,
    /// The name of a version.
    #[error("a version is named by 1 to 63 letters, digits, `.`, `-` and `_`")]
    Version,
    /// Its folder is missing.
    #[error("{} holds no plugin.toml: put the version there", .0.display())]
    NoVersion(PathBuf),
    /// Too little or too much.
    #[error("a version is tried on 1 to 100 of a hundred")]
    Percent,
    /// Nothing to promote.
    #[error("no version of it is tried: stage one first")]
    NotTried,
    /// Nothing to go back to.
    #[error("no version of it is tried, and none was promoted")]
    NothingBefore,
    /// It cannot be loaded.
    #[error("{0}")]
    Fault(Box<Fault>),
    /// It cannot be kept.
    #[error("the choice cannot be written down: {0}")]
    Disk(#[source] io::Error),
}

/// Whether a folder holds a version of a plugin that lies beside it.
pub(crate) fn is_version(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().contains('@'))
}

/// The folder of a version of the plugin of a folder.
pub(crate) fn version_folder(own: &Path, version: &str) -> PathBuf {
    let name = own.file_name().unwrap_or_default().to_string_lossy();
    own.with_file_name(format!("{name}@{version}"))
}

impl Choices {
    /// Reads a file; a missing one holds none.
    ///
    /// # Errors
    /// It cannot be read, or it is not what [`Choices::write`] wrote.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        serde_json::from_str(&text).map_err(|error| {
            let text = format!("{}: {error}; mend it or remove it", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    /// Writes a file, whole or not at all, and waits until it is on disk.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder)?;
        let fresh = path.with_extension("new");
        let mut file = fs::File::create(&fresh)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(fresh, path)?;
        fs::File::open(folder)?.sync_all()
    }

    /// What was chosen about a plugin.
    pub fn of(&self, name: &str) -> Option<&Chosen> {
        self.0.get(name)
    }

    /// The names of plugins that something was chosen about.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether a trial ends by itself.
    pub fn any_ends(&self) -> bool {
        let mut trials = self.0.values().filter_map(|chosen| chosen.trial.as_ref());
        trials.any(|trial| trial.until.is_some())
    }

    /// Whether a plugin is not to be loaded.
    pub(crate) fn disable(&self, name: &str) -> bool {
        self.of(name).is_some_and(|chosen| chosen.disabled)
    }

    /// The folder of the version that is used.
    pub(crate) fn folder(&self, own: &Path, name: &str) -> PathBuf {
        let used = self.of(name).and_then(|chosen| chosen.versions.last());
        used.map_or_else(|| own.to_path_buf(), |version| version_folder(own, version))
    }

    /// The version that is tried.
    pub(crate) fn trial(&self, name: &str) -> Option<&Trial> {
        self.of(name)?.trial.as_ref()
    }

    /// Ends the trials whose time is over; gives the plugins.
    pub(crate) fn end_trials(&mut self, now: Timestamp) -> Vec<String> {
        let mut ended = Vec::new();
        for (name, chosen) in &mut self.0 {
            let until = chosen.trial.as_ref().and_then(|trial| trial.until);
            if until.is_some_and(|until| until <= now.as_secs()) {
                chosen.trial = None;
                ended.push(name.clone());
            }
        }
        ended
    }

    /// Chooses.
    ///
    /// # Errors
    /// It makes no sense as things are.
    pub(crate) fn apply(
        &mut self,
        folder: &Path,
        name: &str,
        action: &Action,
    ) -> Result<(), Unchosen> {
        let own = folder.join(name);
        // The name must be one of a folder in this folder, not a path.
        let is_name = own.file_name().is_some_and(|last| last == name) && !name.contains('@');
        if !is_name || !own.join(MANIFEST).is_file() {
            return Err(Unchosen::Unknown);
        }
        let mut chosen = self.0.remove(name).unwrap_or_default();
        let applied = chosen.apply(&own, action);
        if chosen != Chosen::default() {
            self.0.insert(name.to_owned(), chosen);
        }
        applied
    }
}

impl Chosen {
    fn apply(&mut self, own: &Path, action: &Action) -> Result<(), Unchosen> {
        match action {
            Action::Enable => self.disabled = false,
            Action::Disable => self.disabled = true,
            _ if self.disabled => return Err(Unchosen::Disabled),
            Action::Stage { version, percent, time } => {
                let is_good = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
                let characters = 1..=VERSION_CHARACTERS_MAX;
                if !characters.contains(&version.len()) || !version.chars().all(is_good) {
                    return Err(Unchosen::Version);
                }
                if !(1..=100).contains(percent) {
                    return Err(Unchosen::Percent);
                }
                let folder = version_folder(own, version);
                if !folder.join(MANIFEST).is_file() {
                    return Err(Unchosen::NoVersion(folder));
                }
                let until = time.map(|(now, time)| (now + time).as_secs());
                self.trial = Some(Trial { version: version.clone(), percent: *percent, until });
            }
            Action::Promote => {
                let trial = self.trial.take().ok_or(Unchosen::NotTried)?;
                self.versions.push(trial.version);
                let many = self.versions.len().saturating_sub(VERSIONS_MAX);
                self.versions.drain(..many);
            }
            Action::RollBack => {
                if self.trial.take().is_none() && self.versions.pop().is_none() {
                    return Err(Unchosen::NothingBefore);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house() -> tempfile::TempDir {
        let house = tempfile::tempdir().unwrap();
        for name in ["p", "p@2", "p@3"] {
            fs::create_dir(house.path().join(name)).unwrap();
            fs::write(house.path().join(name).join(MANIFEST), "").unwrap();
        }
        house
    }

    fn stage(version: &str, percent: u8) -> Action {
        Action::Stage { version: version.to_owned(), percent, time: None }
    }

    #[test]
    fn what_is_promoted_can_be_gone_back_from_step_by_step() {
        let (house, mut choices) = (house(), Choices::default());
        let own = house.path().join("p");
        let mut go = |action: &Action| {
            choices.apply(house.path(), "p", action).map_err(|error| error.to_string())?;
            let used =
                choices.folder(&own, "p").file_name().unwrap().to_string_lossy().into_owned();
            Ok((used, choices.trial("p").map(|trial| trial.version.clone())))
        };
        let to = |used: &str, tried: Option<&str>| Ok((used.to_owned(), tried.map(str::to_owned)));
        let back: Result<_, String> = Err(Unchosen::NothingBefore.to_string());
        assert_eq!(go(&Action::RollBack), back);
        assert_eq!(go(&Action::Promote), Err(Unchosen::NotTried.to_string()));
        assert_eq!(go(&stage("2", 10)), to("p", Some("2")));
        assert_eq!(go(&Action::Promote), to("p@2", None));
        assert_eq!(go(&stage("3", 100)), to("p@2", Some("3")));
        assert_eq!(go(&Action::RollBack), to("p@2", None));
        go(&stage("3", 1)).unwrap();
        assert_eq!(go(&Action::Promote), to("p@3", None));
        assert_eq!(go(&Action::RollBack), to("p@2", None));
        assert_eq!(go(&Action::RollBack), to("p", None));
        assert_eq!(go(&Action::RollBack), back);
        assert_eq!(go(&Action::Disable), to("p", None));
        assert_eq!(go(&stage("2", 10)), Err(Unchosen::Disabled.to_string()));
        assert_eq!(go(&Action::Enable), to("p", None));
        assert_eq!(choices, Choices::default(), "what is as usual is not kept");
    }

    #[test]
    fn names_lead_nowhere_else() {
        let (house, mut choices) = (house(), Choices::default());
        for name in ["", ".", "..", "../p", "p/", "p@2", "/etc", "q"] {
            let chosen = choices.apply(house.path(), name, &Action::Disable);
            assert!(matches!(chosen, Err(Unchosen::Unknown)), "{name:?}: {chosen:?}");
        }
        let long = "9".repeat(VERSION_CHARACTERS_MAX + 1);
        for version in ["", "../2", "2/..", "a b", "ä", &long] {
            let chosen = choices.apply(house.path(), "p", &stage(version, 5));
            assert!(matches!(chosen, Err(Unchosen::Version)), "{version:?}: {chosen:?}");
        }
        for percent in [0, 101] {
            let chosen = choices.apply(house.path(), "p", &stage("2", percent));
            assert!(matches!(chosen, Err(Unchosen::Percent)), "{percent}: {chosen:?}");
        }
        let chosen = choices.apply(house.path(), "p", &stage("4", 5)).unwrap_err().to_string();
        assert!(chosen.contains("p@4 holds no plugin.toml"), "{chosen}");
        assert_eq!(choices, Choices::default());
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_damage_is_named() {
        let (house, mut choices) = (house(), Choices::default());
        let path = house.path().join("state/choices.json");
        assert_eq!(Choices::read(&path).unwrap(), choices);
        let time = Some((Timestamp::from_micros(5_000_000), Duration::from_secs(60)));
        let action = Action::Stage { version: "2".to_owned(), percent: 7, time };
        choices.apply(house.path(), "p", &action).unwrap();
        choices.write(&path).unwrap();
        let mut read = Choices::read(&path).unwrap();
        assert_eq!(read, choices);
        assert!(read.end_trials(Timestamp::from_micros(64_999_999)).is_empty());
        assert_eq!(read.end_trials(Timestamp::from_micros(65_000_000)), ["p"]);
        fs::write(&path, "{\"p\": {\"disabled\": 3}}").unwrap();
        let error = Choices::read(&path).unwrap_err().to_string();
        assert!(error.contains("choices.json: ") && error.contains("line 1 column"), "{error}");
    }
}
