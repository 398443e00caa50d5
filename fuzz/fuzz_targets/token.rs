//! See [`maily_fuzz::render::token`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maily_fuzz::render::token(data));
