//! See [`maily_fuzz::front::request`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maily_fuzz::front::request(data));
