//! However a stream is cut into reads, no message is longer than allowed, and the framer keeps no more than one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trapline::syslog::framing::{Framer, MAX_MESSAGE};

fuzz_target!(|stream: &[u8]| {
    let mut framer = Framer::default();
    for chunk in stream.chunks(usize::from(stream.first().copied().unwrap_or(1)).max(1)) {
        framer.push(chunk);
        while let Some(message) = framer.next_message() {
            assert!(!message.is_empty() && message.len() <= MAX_MESSAGE);
        }
    }
    let _ = framer.finish();
});
