//! Messages out of a stream (RFC 6587): octet counting (`LEN SP MSG`) and lines, told apart message by message.

/// The longest message that is taken whole, in octets; a longer one is cut and its rest skipped.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// A message of a stream, without its framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framed<'f> {
    /// Its octets; at least one.
    pub message: &'f [u8],
    /// Whether it was longer than [`MAX_MESSAGE`] and was cut.
    pub cut: bool,
}

/// Cuts a stream into messages. Holds at most one unfinished message and what was pushed last.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Where the next message begins.
    start: usize,
    /// How many octets from there on are known to have no newline.
    searched: usize,
    /// Octets of an oversized message that are still to be skipped: a count, or up to the next newline.
    skip: Option<Skip>,
}

#[derive(Debug, Clone, Copy)]
enum Skip {
    Octets(usize),
    Line,
}

impl Framer {
    /// Adds received octets.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(octets);
    }

    /// The next whole message. Empty ones are skipped.
    pub fn next_message(&mut self) -> Option<Framed<'_>> {
        loop {
            self.skip_rest();
            let pending = &self.buffer[self.start..];
            let Some(Frame { body, next, rest }) = frame(pending, self.searched) else {
                self.searched = pending.len();
                return None;
            };
            let at = self.start;
            self.start += next;
            self.searched = 0;
            self.skip = rest;
            if !body.is_empty() {
                let message = &self.buffer[at + body.start..at + body.end];
                return Some(Framed { message, cut: rest.is_some() });
            }
        }
    }

    /// What is left when the stream ends: an unfinished last message. Call it after [`Framer::next_message`] gave none.
    pub fn finish(&mut self) -> Option<&[u8]> {
        let rest = &self.buffer[self.start..];
        self.start = self.buffer.len();
        let rest = match counted(rest) {
            Some((_, digits)) => &rest[digits + 1..],
            None => rest,
        };
        (!rest.is_empty() && self.skip.is_none()).then_some(rest)
    }

    fn skip_rest(&mut self) {
        let pending = &self.buffer[self.start..];
        match self.skip {
            Some(Skip::Octets(left)) => {
                let now = left.min(pending.len());
                self.start += now;
                self.skip = (left > now).then_some(Skip::Octets(left - now));
            }
            Some(Skip::Line) => match pending.iter().position(|b| *b == b'\n') {
                Some(at) => {
                    self.start += at + 1;
                    self.skip = None;
                }
                None => self.start = self.buffer.len(),
            },
            None => {}
        }
    }
}

/// The first message of some bytes.
struct Frame {
    /// The place of its body.
    body: std::ops::Range<usize>,
    /// Where the next message begins, or where the rest of this one does.
    next: usize,
    /// What is left of a message that was cut.
    rest: Option<Skip>,
}

/// The first message, if it is complete or already too long. The first `searched` octets have no newline.
fn frame(pending: &[u8], searched: usize) -> Option<Frame> {
    if let Some((length, digits)) = counted(pending) {
        let start = digits + 1;
        let end = start + length.min(MAX_MESSAGE);
        let rest = (length > MAX_MESSAGE).then(|| Skip::Octets(length - MAX_MESSAGE));
        return (pending.len() >= end).then_some(Frame { body: start..end, next: end, rest });
    }
    let newline = pending.iter().take(MAX_MESSAGE + 1).skip(searched).position(|b| *b == b'\n');
    match newline.map(|after| searched + after) {
        Some(at) => Some(Frame { body: 0..at, next: at + 1, rest: None }),
        None => (pending.len() > MAX_MESSAGE).then_some(Frame {
            body: 0..MAX_MESSAGE,
            next: MAX_MESSAGE,
            rest: Some(Skip::Line),
        }),
    }
}

/// MSG-LEN of octet counting and how many digits it has, where the message begins with one.
fn counted(pending: &[u8]) -> Option<(usize, usize)> {
    let digits = pending.iter().take(8).position(|b| !b.is_ascii_digit())?;
    if digits == 0 || pending[digits] != b' ' || pending[0] == b'0' {
        return None;
    }
    // A syslog message begins with its priority; a line that merely starts with a number does not.
    if pending.get(digits + 1).is_some_and(|b| *b != b'<') {
        return None;
    }
    let length = std::str::from_utf8(&pending[..digits]).ok()?.parse().ok()?;
    Some((length, digits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The messages of a stream that comes in these pieces, and how many were cut.
    fn all(chunks: &[&[u8]]) -> (Vec<String>, u64) {
        let mut framer = Framer::default();
        let (mut got, mut cut) = (Vec::new(), 0);
        for chunk in chunks {
            framer.push(chunk);
            while let Some(framed) = framer.next_message() {
                got.push(String::from_utf8_lossy(framed.message).into_owned());
                cut += u64::from(framed.cut);
            }
        }
        got.extend(framer.finish().map(|m| String::from_utf8_lossy(m).into_owned()));
        (got, cut)
    }

    #[test]
    fn both_framings_in_one_stream() {
        let stream = b"<1>one\n5 <2>ab<3>three\n\n12 <4>with\nline<5>last";
        assert_eq!(all(&[stream]).0, ["<1>one", "<2>ab", "<3>three", "<4>with\nline", "<5>last"]);
    }

    #[test]
    fn the_end_of_the_stream_gives_what_is_there() {
        assert_eq!(all(&[b"<1>one\n<2>tw"]).0, ["<1>one", "<2>tw"]);
        assert_eq!(all(&[b"40 <2>tw"]).0, ["<2>tw"], "a count is no part of the message");
        assert_eq!(all(&[b"40 "]).0, [""; 0]);
    }

    #[test]
    fn a_line_may_start_with_a_number() {
        assert_eq!(all(&[b"42 is the answer\n"]).0, ["42 is the answer"]);
    }

    #[test]
    fn oversized_messages_are_cut_and_counted() {
        let long = vec![b'x'; MAX_MESSAGE + 10];
        let (got, oversized) = all(&[&long, b"rest\n<1>next\n"]);
        assert_eq!((got.len(), got[0].len(), oversized), (2, MAX_MESSAGE, 1));
        assert_eq!(got[1], "<1>next");
        let mut counted = format!("{} <", MAX_MESSAGE + 5).into_bytes();
        counted.extend(vec![b'y'; MAX_MESSAGE + 4]);
        counted.extend(b"<1>next\n");
        let (got, oversized) = all(&[&counted]);
        assert_eq!((got.len(), got[0].len(), got[1].as_str(), oversized), (2, MAX_MESSAGE, "<1>next", 1));
    }

    proptest! {
        #[test]
        fn the_cuts_of_the_stream_do_not_matter(
            messages in prop::collection::vec(("[a-z ]{0,20}", any::<bool>()), 1..12),
            cuts in prop::collection::vec(1usize..9, 1..40),
        ) {
            let mut stream = Vec::new();
            for (text, counted) in &messages {
                let body = format!("<5>{text}");
                if *counted {
                    stream.extend(format!("{} {body}", body.len()).bytes());
                } else {
                    stream.extend(format!("{body}\n").bytes());
                }
            }
            let mut chunks = Vec::new();
            let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            let expected: Vec<_> = messages.iter().map(|(text, _)| format!("<5>{text}")).collect();
            prop_assert_eq!(all(&chunks).0, expected);
        }

        #[test]
        fn any_bytes_are_safe(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8)) {
            all(&chunks.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
    }
}
