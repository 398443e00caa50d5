//! See [`maily_fuzz::journal::scan`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maily_fuzz::journal::scan(data));
