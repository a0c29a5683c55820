//! However a RELP session is cut into reads, no message is longer than allowed, and answers are whole frames for what came.

use trapline::syslog::relp_server::{Event, Session};

fn hold(stream: &[u8], size: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
    // So short that messages are cut.
    let most = 1 + usize::from(stream.get(1).copied().unwrap_or(255));
    let (mut session, mut messages, mut out) = (Session::new(most), Vec::new(), Vec::new());
    for chunk in stream.chunks(size) {
        session.push(chunk);
        let mut ended = false;
        while let Some(event) = session.next_event() {
            match event {
                Event::Message { octets, .. } => {
                    assert!(!octets.is_empty() && octets.len() <= most);
                    messages.push(octets.to_vec());
                }
                Event::Closed | Event::Broken(_) => ended = true,
            }
        }
        session.answer(&mut out);
        assert!(!session.owes());
        if ended {
            break;
        }
    }
    (messages, out)
}

/// One input.
pub fn run(stream: &[u8]) {
    let session = [b"1 open 15 commands=syslog\n", stream].concat();
    let size = usize::from(stream.first().copied().unwrap_or(1)).max(1);
    assert_eq!(hold(&session, size), hold(&session, session.len()));
}
