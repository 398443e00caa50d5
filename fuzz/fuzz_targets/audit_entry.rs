//! See [`maily_fuzz::front::audit_entry`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maily_fuzz::front::audit_entry(data));
