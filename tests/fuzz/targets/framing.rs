//! However a stream is cut into reads, no message is longer than allowed, and the framers keep no more than one.

use trapline::snmp;
use trapline::syslog::framing::Framer;

/// One input.
pub fn run(stream: &[u8]) {
    // So short that messages are cut.
    let most = 1 + usize::from(stream.get(1).copied().unwrap_or(255));
    let mut framer = Framer::new(most);
    for chunk in stream.chunks(usize::from(stream.first().copied().unwrap_or(1)).max(1)) {
        framer.push(chunk);
        while let Some(framed) = framer.next_message() {
            assert!(!framed.message.is_empty() && framed.message.len() <= most);
        }
    }
    framer.quiet();
    while let Some(framed) = framer.finish() {
        assert!(!framed.message.is_empty() && framed.message.len() <= most);
    }
    let mut framer = snmp::framing::Framer::default();
    for chunk in stream.chunks(usize::from(stream.last().copied().unwrap_or(1)).max(1)) {
        framer.push(chunk);
        loop {
            match framer.next_message() {
                Ok(Some(message)) => assert!(message.len() <= snmp::framing::MAX_MESSAGE),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(framer.unfinished() <= snmp::framing::MAX_MESSAGE + chunk.len());
    }
}
