#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/fuzz/targets/journal.rs"]
mod target;

fuzz_target!(|octets: &[u8]| target::run(octets));
