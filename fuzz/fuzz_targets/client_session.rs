//! See [`maily_fuzz::client::session`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maily_fuzz::client::session(data));
