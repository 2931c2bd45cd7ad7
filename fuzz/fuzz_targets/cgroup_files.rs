#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| orlop_cgroups::fuzzing::files(data));
