//! See [`maily_fuzz::bounces::return_path`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maily_fuzz::bounces::return_path(data));
