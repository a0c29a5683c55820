//! Any file is safe to read as a capture and as hex dumps.

/// One input.
pub fn run(file: &[u8]) {
    if let Ok(capture) = trapline::pcap::Capture::open(file) {
        capture.for_each(drop);
    }
    if let Ok(text) = str::from_utf8(file) {
        trapline::pcap::Dumps::read(text).payloads().for_each(drop);
    }
}
