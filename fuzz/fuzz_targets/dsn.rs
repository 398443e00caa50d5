//! See [`maily_fuzz::letters::dsn`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maily_fuzz::letters::dsn(data));
