//! How each protocol speaks on a stream: how its messages are told apart, and what the sender is told of them.

use crate::intake::listener::{Protocol, Transport};
use crate::snmp::framing::FrameError;
use crate::syslog::relp_server::{self, Event, GOODBYE};
use crate::{snmp, syslog};

/// What is spoken on the streams of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// SNMP over TCP.
    Snmp,
    /// Lines and counted messages of syslog.
    Syslog,
    /// RELP.
    Relp,
    /// HTTP/1.
    Http,
}

impl Speech {
    /// That of a listener.
    pub fn of(protocol: Protocol, transport: &Transport) -> Self {
        match (protocol, transport) {
            (Protocol::Snmp, _) => Speech::Snmp,
            (Protocol::Syslog, Transport::Relp(_) | Transport::RelpTls(_)) => Speech::Relp,
            (Protocol::Syslog, _) => Speech::Syslog,
            (Protocol::Http, _) => Speech::Http,
        }
    }

    /// Whether senders wait without an answer while the journal refuses outcomes. A request gets one.
    pub fn holds_back(self) -> bool {
        !matches!(self, Speech::Http)
    }

    /// What its messages are.
    pub fn protocol(self) -> Protocol {
        match self {
            Speech::Snmp => Protocol::Snmp,
            Speech::Syslog | Speech::Relp => Protocol::Syslog,
            Speech::Http => Protocol::Http,
        }
    }

    /// The name that people use.
    pub fn as_str(self) -> &'static str {
        match self {
            Speech::Snmp | Speech::Syslog => self.protocol().as_str(),
            Speech::Relp => "RELP",
            Speech::Http => "HTTP",
        }
    }
}

/// What a stream gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'f> {
    /// A whole message.
    Message(&'f [u8]),
    /// The beginning of a message that is too long to be taken whole.
    Cut(&'f [u8]),
    /// The end of the stream is in the middle of a message, which cannot be used.
    Unfinished,
    /// Where the next message begins is not known: the stream is of no more use.
    Broken {
        /// What is wrong.
        why: String,
        /// The same without what the sender has sent.
        reason: &'static str,
    },
    /// The sender has said that nothing follows.
    Closed,
}

/// One protocol on one stream, without I/O.
pub trait Conversation: Default + Send {
    /// Adds received octets.
    fn push(&mut self, octets: &[u8]);

    /// The next frame; none if more octets are needed. After [`Frame::Broken`] and [`Frame::Closed`] there is no further one.
    fn next(&mut self) -> Option<Frame<'_>>;

    /// Whether the sender is told of every message that it was taken, so that all must be safe.
    const ACKNOWLEDGES: bool = false;

    /// Writes what the sender is told after a commit. `answers` are the messages that answer what was committed; `safe` says whether
    /// all messages that were given so far are as safe as the journal's settings ask for.
    fn answer(&mut self, answers: &mut dyn Iterator<Item = Vec<u8>>, safe: bool, out: &mut Vec<u8>);

    /// Whether messages that were given have no answer yet and need one.
    fn owes(&self) -> bool {
        false
    }

    /// Whether a message waits for what follows it. If nothing does for a while, [`Conversation::quiet`] gives it.
    fn waits(&self) -> bool {
        false
    }

    /// Nothing has come for a while.
    fn quiet(&mut self) {}

    /// How often the framing was lost and found again, since the last call.
    fn lost(&mut self) -> u64 {
        0
    }

    /// What the sender is told when the daemon ends the stream. `None` if what it has sent meanwhile is still taken; otherwise the
    /// sender knows that it must send it again.
    fn goodbye(&self) -> Option<&'static [u8]> {
        None
    }

    /// What is left when the stream ends. Each call gives a frame; [`Frame::Unfinished`] is the last.
    fn end(&mut self) -> Option<Frame<'_>>;
}

/// SNMP over TCP (RFC 3430): a message says its own length, and so does its answer.
impl Conversation for snmp::framing::Framer {
    fn push(&mut self, octets: &[u8]) {
        self.push(octets);
    }

    fn next(&mut self) -> Option<Frame<'_>> {
        match self.next_message() {
            Ok(message) => message.map(Frame::Message),
            Err(error) => {
                let reason = match error {
                    FrameError::NotSequence(_) => "no_message",
                    FrameError::Length => "length",
                    FrameError::TooLong(_) => "too_long",
                };
                Some(Frame::Broken { why: error.to_string(), reason })
            }
        }
    }

    fn answer(&mut self, answers: &mut dyn Iterator<Item = Vec<u8>>, _: bool, out: &mut Vec<u8>) {
        answers.for_each(|answer| out.extend(answer));
    }

    fn end(&mut self) -> Option<Frame<'_>> {
        (self.unfinished() > 0).then_some(Frame::Unfinished)
    }
}

/// Syslog over TCP (RFC 6587), which has no answers. Its last line may lack the newline.
impl Conversation for syslog::Framer {
    fn push(&mut self, octets: &[u8]) {
        self.push(octets);
    }

    fn next(&mut self) -> Option<Frame<'_>> {
        let framed = self.next_message()?;
        Some(if framed.cut { Frame::Cut(framed.message) } else { Frame::Message(framed.message) })
    }

    fn answer(&mut self, _: &mut dyn Iterator<Item = Vec<u8>>, _: bool, _: &mut Vec<u8>) {}

    fn waits(&self) -> bool {
        self.waits()
    }

    fn quiet(&mut self) {
        self.quiet();
    }

    fn lost(&mut self) -> u64 {
        self.take_lost()
    }

    fn end(&mut self) -> Option<Frame<'_>> {
        let framed = self.finish()?;
        Some(if framed.cut { Frame::Cut(framed.message) } else { Frame::Message(framed.message) })
    }
}

/// RELP: every message is answered once it is safe. What has no answer the sender sends again in its next session.
impl Conversation for relp_server::Session {
    const ACKNOWLEDGES: bool = true;

    fn push(&mut self, octets: &[u8]) {
        self.push(octets);
    }

    fn next(&mut self) -> Option<Frame<'_>> {
        Some(match self.next_event()? {
            Event::Message { octets, cut: false } => Frame::Message(octets),
            Event::Message { octets, cut: true } => Frame::Cut(octets),
            Event::Closed => Frame::Closed,
            Event::Broken(broken) => Frame::Broken { why: broken.to_string(), reason: broken.reason() },
        })
    }

    fn answer(&mut self, _: &mut dyn Iterator<Item = Vec<u8>>, safe: bool, out: &mut Vec<u8>) {
        if safe {
            self.answer(out);
        }
    }

    fn owes(&self) -> bool {
        self.owes()
    }

    fn goodbye(&self) -> Option<&'static [u8]> {
        Some(GOODBYE)
    }

    fn end(&mut self) -> Option<Frame<'_>> {
        self.is_within().then_some(Frame::Unfinished)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All that a stream gives that comes in these pieces.
    fn all<C: Conversation>(pieces: &[&[u8]]) -> Vec<String> {
        let mut conversation = C::default();
        let mut all = Vec::new();
        for piece in pieces {
            conversation.push(piece);
            while let Some(frame) = conversation.next() {
                let broken = matches!(frame, Frame::Broken { .. });
                all.push(format!("{frame:?}"));
                if broken {
                    return all;
                }
            }
        }
        while let Some(frame) = conversation.end() {
            let last = frame == Frame::Unfinished;
            all.push(format!("end {frame:?}"));
            if last {
                break;
            }
        }
        all
    }

    /// The same stream cut at these distances.
    fn pieces<'s>(stream: &'s [u8], distances: &[usize]) -> Vec<&'s [u8]> {
        let (mut pieces, mut rest) = (Vec::new(), stream);
        for distance in distances.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(rest.len().min(*distance));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }

    /// Streams near what the protocols speak: whole messages, cut ones, and noise between them.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            "<[0-9]{1,3}>[a-z ]{0,20}\n".prop_map(String::into_bytes),
            ("<[0-9]{1,3}>[a-z\n ]{0,20}", -2i64..3).prop_map(|(text, off)| {
                format!("{} {text}", (text.len() as i64 + off).max(0)).into_bytes()
            }),
            prop::collection::vec(any::<u8>(), 0..200).prop_map(|content| {
                let mut message = Vec::new();
                snmp::ber::push_tlv(&mut message, 0x30, &content);
                message
            }),
            prop::collection::vec(any::<u8>(), 0..6),
            "[0-9 ]{0,9}".prop_map(String::into_bytes),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_split_of_a_stream_gives_the_same(
            stream in stream(),
            distances in prop::collection::vec(1usize..40, 1..20),
        ) {
            let pieces = pieces(&stream, &distances);
            prop_assert_eq!(all::<syslog::Framer>(&pieces), all::<syslog::Framer>(&[&stream]));
            prop_assert_eq!(
                all::<snmp::framing::Framer>(&pieces),
                all::<snmp::framing::Framer>(&[&stream])
            );
        }
    }

    #[test]
    fn a_long_line_is_cut_the_same_in_any_pieces() {
        let long = [vec![b'x'; 70_000], b"\n<1>next\n".to_vec()].concat();
        let whole = all::<syslog::Framer>(&[&long]);
        assert_eq!(whole.len(), 2);
        for distance in [1, 4096, 65_535, 65_536, 65_537, 65_538] {
            assert_eq!(all::<syslog::Framer>(&pieces(&long, &[distance])), whole, "{distance}");
        }
    }

    #[test]
    fn only_syslog_uses_what_is_left_at_the_end() {
        assert_eq!(all::<syslog::Framer>(&[b"<1>half"]), ["end Message([60, 49, 62, 104, 97, 108, 102])"]);
        assert_eq!(all::<snmp::framing::Framer>(&[&[0x30, 5, 2]]), ["end Unfinished"]);
    }

    #[test]
    fn snmp_answers_on_the_stream_and_syslog_does_not() {
        let mut out = Vec::new();
        let answers = || vec![vec![0x30, 0], vec![0x30, 1, 5]].into_iter();
        syslog::Framer::default().answer(&mut answers(), true, &mut out);
        assert!(out.is_empty());
        Conversation::answer(&mut snmp::framing::Framer::default(), &mut answers(), false, &mut out);
        assert_eq!(out, [0x30, 0, 0x30, 1, 5]);
    }
}
