//! See [`maily_fuzz::bounces::bounce`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maily_fuzz::bounces::bounce(data));
