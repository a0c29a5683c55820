//! RELP from the side of who receives. Pure: octets in, messages and answers out.
//!
//! A session begins with `open`; each `syslog` frame is a message; `close` ends it. Every frame is answered, in order, but only when
//! the caller says that the messages up to it are safe. What a sender has no answer for it sends again in its next session, so
//! nothing is lost where a session breaks. Source: the RELP specification of librelp, and librelp 1.11.

use super::framing::{MAX_MESSAGE, cut};
use super::relp::{MAX_HEAD, Number, head, push_frame};

/// What `open` is answered with. Only syslog is offered, whatever the sender can do besides.
const WELCOME: &[u8] = b"200 OK\nrelp_version=0\nrelp_software=trapline\ncommands=syslog";
/// What a message is answered with.
const TAKEN: &[u8] = b"200 OK";
/// The longest list of offers of a sender that is read, in octets.
const MAX_OFFERS: usize = 32 * 1024;

/// What a session gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'s> {
    /// A message; cut, if it was longer than the session takes.
    Message {
        /// Its octets; at least one.
        octets: &'s [u8],
        /// Whether its end is missing.
        cut: bool,
    },
    /// The sender ends the session: nothing follows.
    Closed,
    /// The sender does not keep to the protocol: nothing follows.
    Broken(Broken),
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The octets are no frame.
    #[error("a frame does not begin with a number, a command and a length")]
    Head,
    /// There is no line feed where the frame ends.
    #[error("a frame is longer than it says")]
    End,
    /// The session does not begin with `open`.
    #[error("the session begins with '{0}', not with 'open'")]
    NotOpen(String),
    /// The session is opened twice, or with more than can be read.
    #[error("the session is opened twice, or with too many offers")]
    Open,
    /// A command that is not offered.
    #[error("the command '{0}' was not offered")]
    Command(String),
}

impl Broken {
    /// The word for it, whatever the sender has sent.
    pub fn reason(&self) -> &'static str {
        match self {
            Broken::Head => "head",
            Broken::End => "end",
            Broken::NotOpen(_) => "not_open",
            Broken::Open => "open",
            Broken::Command(_) => "command",
        }
    }
}

/// What a frame asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Syslog,
    Close,
}

/// A frame whose head was read.
#[derive(Debug, Clone, Copy)]
struct Frame {
    number: Number,
    kind: Kind,
    /// How many octets of its data are still to come behind what is kept of it.
    left: usize,
    /// How many octets of its data are kept: what is in the buffer when they are there.
    keep: usize,
    /// Whether what is kept was given.
    given: bool,
}

/// One session. It holds one message and what was pushed last at most.
#[derive(Debug)]
pub struct Session {
    /// The longest message that is taken whole, in octets.
    most: usize,
    buffer: Vec<u8>,
    /// Where what is not read yet begins.
    start: usize,
    frame: Option<Frame>,
    open: bool,
    ended: bool,
    /// Whether the sender is still to be told that it has ended.
    farewell: bool,
    /// Frames that were taken since the last answer.
    taken: Vec<(Number, Kind)>,
}

impl Default for Session {
    fn default() -> Self {
        Session::new(MAX_MESSAGE)
    }
}

impl Session {
    /// One that takes messages of at most `most` octets whole.
    pub fn new(most: usize) -> Self {
        Session {
            most,
            buffer: Vec::new(),
            start: 0,
            frame: None,
            open: false,
            ended: false,
            farewell: false,
            taken: Vec::new(),
        }
    }

    /// Adds received octets.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(octets);
    }

    /// What comes next; none if more octets are needed, and after the end.
    pub fn next_event(&mut self) -> Option<Event<'_>> {
        while !self.ended {
            match self.step() {
                Ok(Step::Wait) => return None,
                Ok(Step::Go) => {}
                Ok(Step::Message(from, to, cut)) => {
                    return Some(Event::Message { octets: &self.buffer[from..to], cut });
                }
                Ok(Step::Close) => {
                    self.end();
                    return Some(Event::Closed);
                }
                Err(broken) => {
                    self.end();
                    return Some(Event::Broken(broken));
                }
            }
        }
        None
    }

    fn end(&mut self) {
        (self.ended, self.farewell) = (true, true);
    }

    fn step(&mut self) -> Result<Step, Broken> {
        let Some(mut frame) = self.frame else { return self.begin() };
        let pending = self.buffer.len() - self.start;
        if !frame.given {
            // A message is given once its frame is whole, so that it is answered unless it is too long to be kept.
            let whole = frame.left == 0;
            if pending < frame.keep + usize::from(whole) {
                return Ok(Step::Wait);
            }
            if whole && self.buffer[self.start + frame.keep] != b'\n' {
                return Err(Broken::End);
            }
            frame.given = true;
            self.frame = Some(frame);
            let from = self.start;
            self.start += frame.keep;
            if frame.kind == Kind::Syslog && frame.keep > 0 {
                let kept = if whole { frame.keep } else { cut(&self.buffer[from..self.start]) };
                return Ok(Step::Message(from, from + kept, !whole));
            }
            return Ok(Step::Go);
        }
        let skipped = frame.left.min(pending);
        self.start += skipped;
        frame.left -= skipped;
        self.frame = Some(frame);
        if frame.left > 0 || skipped == pending {
            return Ok(Step::Wait);
        }
        if self.buffer[self.start] != b'\n' {
            return Err(Broken::End);
        }
        self.start += 1;
        self.frame = None;
        // Only a whole frame is answered: of one whose end is missing the sender does not think that it was sent.
        self.taken.push((frame.number, frame.kind));
        match frame.kind {
            Kind::Open => self.open = true,
            Kind::Syslog => {}
            Kind::Close => return Ok(Step::Close),
        }
        Ok(Step::Go)
    }

    fn begin(&mut self) -> Result<Step, Broken> {
        let pending = &self.buffer[self.start..];
        // librelp takes line feeds between frames.
        if pending.first() == Some(&b'\n') {
            self.start += 1;
            return Ok(Step::Go);
        }
        let (rest, (number, command, length)) = match head(&pending[..pending.len().min(MAX_HEAD + 1)]) {
            Ok(read) => read,
            Err(nom::Err::Incomplete(_)) if pending.len() <= MAX_HEAD => return Ok(Step::Wait),
            Err(_) => return Err(Broken::Head),
        };
        let length = length as usize;
        let name = || String::from_utf8_lossy(command).into_owned();
        let kind = match command {
            b"open" if self.open || length > MAX_OFFERS => return Err(Broken::Open),
            b"open" => Kind::Open,
            _ if !self.open => return Err(Broken::NotOpen(name())),
            b"syslog" => Kind::Syslog,
            b"close" => Kind::Close,
            _ => return Err(Broken::Command(name())),
        };
        let keep = if kind == Kind::Syslog { length.min(self.most) } else { 0 };
        self.start += pending.len().min(MAX_HEAD + 1) - rest.len();
        self.frame = Some(Frame { number, kind, left: length - keep, keep, given: false });
        Ok(Step::Go)
    }

    /// Writes the answers to all frames that were taken since the last call.
    pub fn answer(&mut self, out: &mut Vec<u8>) {
        for (number, kind) in self.taken.drain(..) {
            match kind {
                Kind::Open => push_frame(out, number, "rsp", WELCOME),
                Kind::Syslog => push_frame(out, number, "rsp", TAKEN),
                // As librelp does: the answer has no code.
                Kind::Close => push_frame(out, number, "rsp", b""),
            }
        }
        if std::mem::take(&mut self.farewell) {
            out.extend_from_slice(GOODBYE);
        }
    }

    /// Whether frames wait for their answers.
    pub fn owes(&self) -> bool {
        !self.taken.is_empty()
    }

    /// Whether it is in the middle of a frame.
    pub fn is_within(&self) -> bool {
        self.frame.is_some() || self.start < self.buffer.len()
    }
}

/// What a receiver says that ends the session by itself.
pub const GOODBYE: &[u8] = b"0 serverclose 0\n";

enum Step {
    /// More octets are needed.
    Wait,
    /// Another step can be done.
    Go,
    /// A message stands there in the buffer, cut or not.
    Message(usize, usize, bool),
    /// The sender has closed the session.
    Close,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All that a session gives that comes in these pieces, and how it answers after each piece.
    fn all<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Vec<String>, String) {
        let mut session = Session::default();
        let (mut events, mut out) = (Vec::new(), Vec::new());
        for piece in pieces {
            session.push(piece);
            assert!(session.buffer.len() <= MAX_MESSAGE + MAX_HEAD + 1 + piece.len());
            while let Some(event) = session.next_event() {
                events.push(match event {
                    Event::Message { octets, cut } => {
                        format!("{}{}", String::from_utf8_lossy(octets), if cut { " (cut)" } else { "" })
                    }
                    other => format!("{other:?}"),
                });
            }
            let ended = session.ended;
            session.answer(&mut out);
            if ended {
                break;
            }
        }
        (events, String::from_utf8(out).unwrap())
    }

    const OPEN: &str = "1 open 53 relp_version=0\nrelp_software=trapline\ncommands=syslog\n";

    #[test]
    fn a_session_of_librelp() {
        let stream =
            format!("{OPEN}2 syslog 7 <1>a\nb\0\n3 syslog 0\n4 syslog 3 a b\n5 close 0\n6 syslog 1 x\n");
        let (events, out) = all([stream.as_bytes()]);
        assert_eq!(events, ["<1>a\nb\0", "a b", "Closed"]);
        assert_eq!(
            out,
            "1 rsp 60 200 OK\nrelp_version=0\nrelp_software=trapline\ncommands=syslog\n\
             2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 6 200 OK\n5 rsp 0\n0 serverclose 0\n"
        );
    }

    #[test]
    fn a_frame_that_is_not_whole_is_not_answered() {
        let (events, out) = all([format!("{OPEN}2 syslog 5 <1>ab").as_bytes()]);
        assert!(events.is_empty());
        assert_eq!(out.matches("rsp").count(), 1, "{out}");
        let (events, out) = all([format!("{OPEN}2 syslog 5 <1>abc\n3 syslog 1 x\n").as_bytes()]);
        assert_eq!(events, ["Broken(End)"]);
        assert_eq!(out.matches("rsp").count(), 1, "{out}");
    }

    #[test]
    fn what_is_no_session_is_broken() {
        let opened = |rest: &str| format!("{OPEN}{rest}");
        for (stream, broken) in [
            ("2 syslog 1 x\n".to_owned(), Broken::NotOpen("syslog".into())),
            ("<13>Nov 20 12:00:01 host x: y\n".to_owned(), Broken::Head),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), Broken::Head),
            ("\x16\x03\x01\x02\0\x01\0".to_owned(), Broken::Head),
            (opened(OPEN), Broken::Open),
            ("1 open 99999999 x".to_owned(), Broken::Open),
            (opened("2 starttls 0\n"), Broken::Command("starttls".into())),
            (opened("1234567890 syslog 1 x\n"), Broken::Head),
            (opened("2 syslog 1234567890 x\n"), Broken::Head),
            (opened("2 syslog -1 x\n"), Broken::Head),
            (opened("2 syslog  1 x\n"), Broken::Head),
            (opened("2 syslog 0 \n"), Broken::End),
            (opened(&format!("2 {} 1 x\n", "a".repeat(33))), Broken::Head),
        ] {
            let (events, _) = all([stream.as_bytes()]);
            assert_eq!(events, [format!("{:?}", Event::Broken(broken))], "{stream:?}");
        }
    }

    #[test]
    fn a_long_message_is_cut_once_and_the_next_one_is_whole() {
        for length in [MAX_MESSAGE, MAX_MESSAGE + 1, 200_000] {
            let stream = format!("{OPEN}2 syslog {length} {}\n3 syslog 4 next\n", "x".repeat(length));
            for size in [1000, 65_536, usize::MAX] {
                let (events, out) = all(stream.as_bytes().chunks(size.min(stream.len())));
                let kept = "x".repeat(MAX_MESSAGE);
                let first = if length > MAX_MESSAGE { format!("{kept} (cut)") } else { kept };
                assert!(events == [first, "next".into()], "{length} {size}");
                assert_eq!(out.matches("200 OK").count(), 3);
            }
        }
        // A length that never comes keeps no more than a message.
        let claims = format!("{OPEN}2 syslog 999999999 ");
        let endless = vec![b'x'; 65_536];
        let (events, out) = all(std::iter::once(claims.as_bytes()).chain((0..40).map(|_| &endless[..])));
        assert_eq!((events.len(), out.matches("200 OK").count()), (1, 1));
    }

    #[test]
    fn a_cut_leaves_no_half_character() {
        let mut session = Session::new(8);
        session.push(format!("{OPEN}2 syslog 10 <1>abcdü!\n").as_bytes());
        let Some(Event::Message { octets, cut: true }) = session.next_event() else { panic!() };
        assert_eq!(octets, b"<1>abcd");
    }

    /// Streams near what librelp speaks.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let frame = prop_oneof![
            4 => (1u32..20, "[a-z<>\n0-9 ]{0,20}", -1i64..2).prop_map(|(number, text, off)| {
                let off = if number > 2 { 0 } else { off };
                format!("{number} syslog {} {text}\n", (text.len() as i64 + off).max(1)).into_bytes()
            }),
            1 => Just(b"3 syslog 0\n".to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..6),
            1 => Just(b"9 close 0\n".to_vec()),
        ];
        let open = prop_oneof![4 => Just(OPEN.as_bytes().to_vec()), 1 => Just(Vec::new())];
        (open, prop::collection::vec(frame, 0..8)).prop_map(|(open, frames)| [open, frames.concat()].concat())
    }

    proptest! {
        #[test]
        fn any_octets_in_any_pieces_give_the_same(stream in stream(), sizes in prop::collection::vec(1usize..30, 1..12)) {
            let (mut pieces, mut rest, mut sizes) = (Vec::new(), &stream[..], sizes.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            let (events, out) = all([&stream[..]]);
            let (in_pieces, answers) = all(pieces);
            prop_assert_eq!(in_pieces, events);
            // A session that broke answers what was whole before; one push of all of it does, too.
            prop_assert_eq!(answers, out);
        }
    }
}
