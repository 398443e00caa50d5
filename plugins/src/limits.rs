//! The bounds of every script, each with its name. A manifest may ask for less, never for more.
//!
//! Memory. A text has at most 64 KiB, an array 8,192 items and a map 1,024 keys, all counted with
//! what they hold. Rhai looks at them when they are passed on, appended to or given a property, but
//! not at `map[key] = value`: that grows until the next look. So the bound of one run is the
//! smaller of two: operations × 64 KiB, since no operation makes more than one text, and what a
//! core can write within the deadline, which is some 20 MB for each 5 ms. Variables add at most
//! `VARIABLES_MAX` texts for each of the `CALL_DEPTH_MAX` functions within one another.

use std::time::Duration;

/// Octets of one text of a script.
pub const STRING_OCTETS_MAX: usize = 64 * 1024;
/// Items of one array, with those of the arrays in it.
pub const ARRAY_ITEMS_MAX: usize = 8_192;
/// Keys of one map, with those of the maps in it.
pub const MAP_KEYS_MAX: usize = 1_024;
/// Functions that have called each other.
pub const CALL_DEPTH_MAX: usize = 24;
/// How deep an expression may be nested, at the top and in functions.
pub const EXPRESSION_DEPTH_MAX: usize = 48;
/// Variables of one function.
pub const VARIABLES_MAX: usize = 96;
/// Functions of one plugin.
pub const FUNCTIONS_MAX: usize = 256;
/// Functions that an interpreter remembers from run to run, by name and types of arguments.
pub const FOUND_MAX: usize = 2_048;
/// Modules that one run may import.
pub const MODULES_MAX: usize = 32;

/// Operations of one run where the manifest says nothing.
pub const OPERATIONS_DEFAULT: u64 = 50_000;
/// The most operations that a manifest may ask for.
pub const OPERATIONS_MAX: u64 = 5_000_000;
/// The most operations of a script with closures: they can hold each other in a chain.
pub const OPERATIONS_CAPTURING_MAX: u64 = 500_000;
/// How long a hook that may wait for others may compute; the rest of its time is for waiting.
pub const COMPUTE_MAX: Duration = Duration::from_millis(50);
/// How long the top of a script may run when it is loaded.
pub const LOAD_TIME_MAX: Duration = Duration::from_millis(100);
/// The most memory that a manifest may ask for, and what it has if it says nothing.
pub const MEMORY_OCTETS_MAX: u64 = 64 * 1024 * 1024;
/// Lines that one run may log where the manifest says nothing.
pub const LOG_LINES_DEFAULT: u32 = 20;
/// The most lines that a manifest may ask for.
pub const LOG_LINES_MAX: u32 = 1_000;
/// Characters of one line of the plugin's log.
pub const LOG_LINE_CHARACTERS_MAX: usize = 500;
/// Calls of other machines in one run of a hook.
pub const HTTP_CALLS_MAX: usize = 8;
/// Changes of the key-value store in one run.
pub const KV_WRITES_MAX: usize = 64;
/// Octets of a value in the key-value store.
pub const KV_VALUE_OCTETS_MAX: usize = 16 * 1024;
/// Octets of a key in the key-value store.
pub const KV_KEY_OCTETS_MAX: usize = 256;
/// Observations of metrics in one run.
pub const METRICS_MAX: usize = 64;
/// How deep values may be nested that go into a script or come out of it.
pub const VALUE_DEPTH_MAX: usize = 16;

/// Octets of one file of a plugin's folder.
pub const FILE_OCTETS_MAX: u64 = 1024 * 1024;
/// Octets of `main.rhai` or of a module.
pub const SCRIPT_OCTETS_MAX: u64 = 256 * 1024;
/// Octets of all files of a plugin's folder that are read.
pub const PACKAGE_OCTETS_MAX: u64 = 16 * 1024 * 1024;
/// Files of a plugin's folder that are read.
pub const PACKAGE_FILES_MAX: usize = 200;
/// Rows of one table in `data/`.
pub const TABLE_ROWS_MAX: usize = 100_000;
/// Plugins in one folder.
pub const PLUGINS_MAX: usize = 1_000;
