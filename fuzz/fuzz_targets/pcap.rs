//! Any file is safe to read as a capture.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let _ = trapline::pcap::packets(file);
});
