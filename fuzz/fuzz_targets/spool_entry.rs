//! See [`maily_fuzz::journal::spool_entry`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maily_fuzz::journal::spool_entry(data));
