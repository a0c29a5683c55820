//! Any line is safe to read, and what is read of it is part of it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let line = String::from_utf8_lossy(line);
    let read = trapline::syslog::parse_line(&line, 1_795_176_000_000_000);
    assert!(line.contains(read.message));
    for text in [read.host, read.program, read.msgid].into_iter().flatten() {
        assert!(line.contains(text));
    }
});
