//! See [`maily_fuzz::journal::table_change`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maily_fuzz::journal::table_change(data));
