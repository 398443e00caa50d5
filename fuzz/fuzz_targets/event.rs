//! See [`maily_fuzz::journal::event`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maily_fuzz::journal::event(data));
