//! The key-value store on disk, in sled 0.34. It is expendable: sled panics on damage that a power
//! cut leaves, so it is opened and used under a guard, and a damaged one is set aside and begun
//! anew. What was written is on disk after [`SledKv::sync`], which does not leave the syncing to
//! sled: its flush starts the writing and does not wait for it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use maily_core::clock::Timestamp;
use parking_lot::Mutex;

use crate::kv::Change;
use crate::kv::Kv;
use crate::kv::KvError;
use crate::kv::Write;
use crate::kv::added;
use crate::manifest::KvPermission;

/// Octets that sled keeps in memory.
const CACHE_OCTETS: u64 = 16 * 1024 * 1024;
/// Stores that were set aside and are kept for a look.
const ASIDE_MAX: usize = 3;
/// Octets in front of each value: when it ends.
const END_OCTETS: usize = 8;

/// A store in a folder.
#[derive(Debug)]
pub struct SledKv {
    db: sled::Db,
    folder: PathBuf,
    /// Octets of each name space. Changes are made under this lock, one after the other.
    used: Mutex<BTreeMap<String, u64>>,
    /// A panic or a damage was seen: nothing more is asked of it.
    broken: AtomicBool,
}

/// How a store was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// As it was left.
    Whole,
    /// It was damaged; it was set aside there, and an empty one begun.
    SetAside(PathBuf),
}

impl SledKv {
    /// Opens a store, or begins one. Only a disk that does not work is an error.
    pub fn open(folder: &Path, now: Timestamp) -> io::Result<(Self, Opened)> {
        fs::create_dir_all(folder)?;
        let place = folder.join("kv");
        if let Ok(store) = try_open(&place) {
            return Ok((store, Opened::Whole));
        }
        let aside = folder.join(format!("kv.damaged-{}", now.as_micros()));
        fs::rename(&place, &aside)?;
        sync_folder(folder)?;
        keep_few(folder);
        let store = try_open(&place).map_err(io::Error::other)?;
        Ok((store, Opened::SetAside(aside)))
    }

    /// Puts all that was written so far on disk.
    pub fn sync(&self) -> Result<(), KvError> {
        self.guarded(|| self.db.flush().map(drop))?;
        sync_files(self.folder.as_path()).map_err(|error| KvError::Store(error.to_string()))
    }

    /// Takes out what has ended; how much it was.
    pub fn sweep(&self, now: Timestamp) -> Result<u64, KvError> {
        let mut used = self.used.lock();
        self.guarded(|| {
            let mut gone = 0;
            for item in self.db.iter() {
                let (key, value) = item?;
                if end_of(&value) <= now {
                    self.db.remove(&key)?;
                    gone += 1;
                }
            }
            *used = measure(&self.db)?;
            Ok(gone)
        })
    }

    /// Does something with sled; a panic in it is an error, and the last thing it was asked.
    fn guarded<T>(&self, what: impl FnOnce() -> sled::Result<T>) -> Result<T, KvError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(KvError::Store("it is damaged, until the next start".to_owned()));
        }
        match catch_unwind(AssertUnwindSafe(what)) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                let damaged = matches!(error, sled::Error::Corruption { .. });
                self.broken.fetch_or(damaged, Ordering::Relaxed);
                Err(KvError::Store(error.to_string()))
            }
            Err(_panic) => {
                self.broken.store(true, Ordering::Relaxed);
                Err(KvError::Store("it panicked".to_owned()))
            }
        }
    }
}

fn try_open(place: &Path) -> Result<SledKv, String> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let config = sled::Config::new().path(place).cache_capacity(CACHE_OCTETS);
        // Everything is read once: what is damaged shows now, not in the midst of mail.
        let db = config.flush_every_ms(None).open()?;
        let used = measure(&db)?;
        Ok::<_, sled::Error>((db, used))
    }));
    match opened {
        Ok(Ok((db, used))) => Ok(SledKv {
            db,
            folder: place.to_path_buf(),
            used: Mutex::new(used),
            broken: AtomicBool::new(false),
        }),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_panic) => Err("it panicked".to_owned()),
    }
}

fn measure(db: &sled::Db) -> sled::Result<BTreeMap<String, u64>> {
    let mut used = BTreeMap::new();
    for item in db.iter() {
        let (key, value) = item?;
        let namespace = key.split(|octet| *octet == 0).next().unwrap_or_default();
        let namespace = String::from_utf8_lossy(namespace).into_owned();
        *used.entry(namespace).or_default() += octets(&key, &value);
    }
    Ok(used)
}

fn octets(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

/// A name space has no zero octet in it.
fn place(namespace: &str, key: &str) -> Vec<u8> {
    [namespace.as_bytes(), &[0], key.as_bytes()].concat()
}

fn end_of(value: &[u8]) -> Timestamp {
    let micros = value.first_chunk::<END_OCTETS>().map_or(0, |end| u64::from_be_bytes(*end));
    Timestamp::from_micros(micros)
}

fn text_of(value: &[u8]) -> Option<String> {
    String::from_utf8(value.get(END_OCTETS..)?.to_vec()).ok()
}

impl Kv for SledKv {
    fn get(&self, namespace: &str, key: &str, now: Timestamp) -> Result<Option<String>, KvError> {
        let found = self.guarded(|| self.db.get(place(namespace, key)))?;
        Ok(found.filter(|value| now < end_of(value)).and_then(|value| text_of(&value)))
    }

    fn commit(
        &self,
        terms: &KvPermission,
        writes: &[Write],
        now: Timestamp,
    ) -> Result<(), KvError> {
        let mut all = self.used.lock();
        let mut used = all.get(&terms.namespace).copied().unwrap_or(0);
        let mut next: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        for write in writes {
            let key = place(&terms.namespace, &write.key);
            let before = match next.get(&key) {
                Some(value) => value.clone(),
                None => self.guarded(|| self.db.get(&key))?.map(|value| value.to_vec()),
            };
            let value = changed(terms, write, before.as_deref(), now);
            used -= before.as_ref().map_or(0, |value| octets(&key, value)).min(used);
            used += value.as_ref().map_or(0, |value| octets(&key, value));
            next.insert(key, value);
        }
        if used > terms.max_bytes {
            return Err(KvError::Full(terms.namespace.clone()));
        }
        let mut batch = sled::Batch::default();
        for (key, value) in next {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.guarded(|| self.db.apply_batch(batch))?;
        all.insert(terms.namespace.clone(), used);
        Ok(())
    }
}

fn changed(
    terms: &KvPermission,
    write: &Write,
    before: Option<&[u8]>,
    now: Timestamp,
) -> Option<Vec<u8>> {
    let text = match &write.change {
        Change::Remove => return None,
        Change::Set(text) => text.clone(),
        Change::Add(more) => {
            let alive = before.filter(|value| now < end_of(value)).and_then(text_of);
            added(alive.as_deref(), *more)
        }
    };
    let end = now + write.ttl.unwrap_or(terms.ttl).min(terms.ttl);
    let mut value = end.as_micros().to_be_bytes().to_vec();
    value.extend_from_slice(text.as_bytes());
    Some(value)
}

/// Waits until the files of a folder are on disk, then the folder itself.
fn sync_files(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_files(&path)?;
            continue;
        }
        match fs::File::open(&path) {
            Ok(file) => file.sync_data()?,
            // sled replaces its snapshots by itself.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Of what was set aside, the latest are kept.
fn keep_few(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let aside = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kv.damaged-"))
    };
    let mut all: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(aside).collect();
    all.sort();
    let gone = all.len().saturating_sub(ASIDE_MAX);
    for path in all.into_iter().take(gone) {
        // What cannot be removed is in nobody's way.
        let _left = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
#[path = "kv_sled_tests.rs"]
mod tests;
