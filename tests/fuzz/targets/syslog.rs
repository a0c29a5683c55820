//! Any line is safe to read: what is read of it is part of it, and its end is the message. Any message is safe to read in
//! any form.

use trapline::body::{Body, Form};
use trapline::syslog::parse_line;
use trapline::text::{Charset, line};

/// One input.
pub fn run(octets: &[u8]) {
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
    for head in ["", "CEF:0|V|P|1|2|N|3|", "LEEF:2.0|V|P|1|E|^|", "@cee:{"] {
        let message = format!("{head}{line}");
        for kind in Form::ALL {
            if let Some(Body::Pairs(pairs)) = Body::read(kind, &message) {
                assert!(pairs.len() <= 256 && pairs.iter().all(|(key, _)| !key.get(&message).is_empty()));
            }
        }
    }
    // Behind a tag everything is message, unless it is the type of one.
    let text = line.trim_end_matches(['\0', '\r', '\n']).trim_start_matches('\u{feff}');
    if !text.starts_with(['%', '#', '[']) {
        let line = format!("<13>Nov 20 12:00:01 h app[1]: {text}");
        assert_eq!(parse_line(&line, 1_795_176_000_000_000).message, text);
    }
}
