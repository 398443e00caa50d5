//! See [`maily_fuzz::server::session`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maily_fuzz::server::session(data));
