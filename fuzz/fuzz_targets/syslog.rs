//! Any line is safe to read: what is read of it is part of it, and its end is the message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trapline::syslog::parse_line;
use trapline::text::{Charset, line};

fuzz_target!(|octets: &[u8]| {
    let line = line(octets, Charset::default());
    // Without a header, and behind headers of several kinds.
    for head in [
        "",
        "<13>Nov 20 12:00:01 h ",
        "<13>1 2026-11-20T12:00:01Z h a 1 ",
        "<13>9: Nov 20 12:00:01: ",
        "<13>1 ",
    ] {
        let line = format!("{head}{line}");
        let read = parse_line(&line, 1_795_176_000_000_000);
        assert!(line.trim_end_matches(['\0', '\r', '\n']).ends_with(read.message));
        for text in [read.host, read.program, read.pid.as_deref(), read.msgid].into_iter().flatten() {
            assert!(line.contains(text));
        }
        for element in &read.structured_data {
            assert!(line.contains(element.id));
        }
    }
    // Behind a tag everything is message, unless it is the type of one.
    let text = line.trim_end_matches(['\0', '\r', '\n']).trim_start_matches('\u{feff}');
    if !text.starts_with(['%', '#', '[']) {
        let line = format!("<13>Nov 20 12:00:01 h app[1]: {text}");
        assert_eq!(parse_line(&line, 1_795_176_000_000_000).message, text);
    }
});
