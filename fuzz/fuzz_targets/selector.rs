//! See [`maily_fuzz::parsers::selector`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maily_fuzz::parsers::selector(data));
