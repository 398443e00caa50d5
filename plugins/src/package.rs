//! A plugin's folder, read once: manifest, scripts, tables, cases and README. Nothing is read from
//! outside of it, and nothing without a bound.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use crate::fault::Code;
use crate::fault::Fault;
use crate::fault::Place;
use crate::limits;
use crate::manifest::MANIFEST;
use crate::manifest::Manifest;
use crate::table::Table;

/// The script that holds the hooks.
pub const MAIN: &str = "main.rhai";

/// A plugin as it lies in its folder.
#[derive(Clone, Debug)]
pub struct Package {
    /// Where it was read from.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// The text of the manifest.
    pub manifest_text: String,
    /// Scripts by their path in the folder: `main.rhai`, `lib/x.rhai`.
    pub scripts: BTreeMap<String, String>,
    /// Tables of `data/` by name.
    pub tables: BTreeMap<String, Table>,
    /// Files of `tests/` by their path in the folder.
    pub cases: BTreeMap<String, String>,
    /// The README, or nothing.
    pub readme: String,
}

/// The same folder with the same files. The manifest is what its text says.
impl PartialEq for Package {
    fn eq(&self, other: &Self) -> bool {
        self.folder == other.folder
            && self.manifest_text == other.manifest_text
            && self.readme == other.readme
            && self.scripts == other.scripts
            && self.tables == other.tables
            && self.cases == other.cases
    }
}

/// Reads a folder and keeps count of what was read.
struct Reader {
    root: PathBuf,
    label: String,
    octets: u64,
    files: usize,
}

impl Package {
    /// Reads a plugin's folder.
    pub fn read(folder: &Path) -> Result<Self, Box<Fault>> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let root = fs::canonicalize(folder).map_err(|error| {
            let message = format!("{}: {error}", folder.display());
            Box::new(Fault::new(Code::Package, &name, message))
        })?;
        let mut reader = Reader { root, label: name, octets: 0, files: 0 };
        let manifest_text = reader.text(MANIFEST, limits::SCRIPT_OCTETS_MAX)?;
        let manifest = Manifest::parse(&manifest_text).map_err(|mut fault| {
            if fault.plugin == "?" {
                fault.plugin.clone_from(&reader.label);
            }
            fault
        })?;
        reader.label = manifest.label();
        let mut scripts = BTreeMap::new();
        scripts.insert(MAIN.to_owned(), reader.text(MAIN, limits::SCRIPT_OCTETS_MAX)?);
        for path in reader.list("lib", &["rhai"])? {
            let text = reader.text(&path, limits::SCRIPT_OCTETS_MAX)?;
            scripts.insert(path, text);
        }
        let mut tables = BTreeMap::new();
        for path in reader.list("data", &["toml", "csv"])? {
            let text = reader.text(&path, limits::FILE_OCTETS_MAX)?;
            let table = Table::parse(&path, &text).map_err(|(place, message)| {
                Box::new(Fault::new(Code::Package, &reader.label, message).at(place))
            })?;
            let stem = Path::new(&path).file_stem().unwrap_or_default();
            tables.insert(stem.to_string_lossy().into_owned(), table);
        }
        let mut cases = BTreeMap::new();
        for path in reader.list("tests", &["toml"])? {
            let text = reader.text(&path, limits::FILE_OCTETS_MAX)?;
            cases.insert(path, text);
        }
        let readme = reader.text("README.md", limits::FILE_OCTETS_MAX).unwrap_or_default();
        let folder = folder.to_path_buf();
        Ok(Self { folder, manifest, manifest_text, scripts, tables, cases, readme })
    }

    /// The text of `main.rhai`.
    pub fn main(&self) -> &str {
        self.scripts.get(MAIN).map_or("", String::as_str)
    }
}

impl Reader {
    fn fault(&self, path: &str, message: String) -> Box<Fault> {
        Box::new(Fault::new(Code::Package, &self.label, message).at(Place::file(path)))
    }

    /// Paths of the files of a folder with one of these endings, in order. A missing folder is
    /// empty.
    fn list(&self, folder: &str, endings: &[&str]) -> Result<Vec<String>, Box<Fault>> {
        let path = self.root.join(folder);
        if fs::symlink_metadata(&path).is_err() {
            return Ok(Vec::new());
        }
        self.inside(folder)?;
        let entries = fs::read_dir(&path).map_err(|e| self.fault(folder, e.to_string()))?;
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| self.fault(folder, error.to_string()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let ending = Path::new(&name).extension().unwrap_or_default().to_string_lossy();
            if endings.contains(&&*ending) && !name.starts_with('.') {
                found.push(format!("{folder}/{name}"));
            }
            if found.len() > limits::PACKAGE_FILES_MAX {
                let most = limits::PACKAGE_FILES_MAX;
                return Err(self.fault(folder, format!("there are more than {most} files")));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The path of a file whose links, if any, stay inside the folder.
    fn inside(&self, path: &str) -> Result<PathBuf, Box<Fault>> {
        let real = fs::canonicalize(self.root.join(path))
            .map_err(|error| self.fault(path, error.to_string()))?;
        if real.starts_with(&self.root) {
            return Ok(real);
        }
        Err(self.fault(path, "it leads out of the plugin's folder".to_owned()))
    }

    fn text(&mut self, path: &str, octets_max: u64) -> Result<String, Box<Fault>> {
        let real = self.inside(path)?;
        let file = fs::File::open(&real).map_err(|error| self.fault(path, error.to_string()))?;
        if !file.metadata().is_ok_and(|about| about.is_file()) {
            return Err(self.fault(path, "it is no file".to_owned()));
        }
        let mut text = String::new();
        // One octet more than allowed tells that there is more, though the file grows meanwhile.
        let read = file.take(octets_max + 1).read_to_string(&mut text);
        let octets = read.map_err(|error| self.fault(path, error.to_string()))? as u64;
        self.octets += octets;
        self.files += 1;
        if octets > octets_max {
            return Err(self.fault(path, format!("it has more than {octets_max} octets")));
        }
        if self.octets > limits::PACKAGE_OCTETS_MAX {
            let most = limits::PACKAGE_OCTETS_MAX;
            return Err(self.fault(path, format!("the folder has more than {most} octets")));
        }
        if self.files > limits::PACKAGE_FILES_MAX {
            let most = limits::PACKAGE_FILES_MAX;
            return Err(self.fault(path, format!("the folder has more than {most} files")));
        }
        Ok(text)
    }
}

/// The folders of a folder that hold a manifest, by name.
pub fn find(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.join(MANIFEST).is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
