//! Messages out of a stream (RFC 3430): each is a SEQUENCE that says its own length.

/// The longest message that is taken, in octets.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Why a stream cannot be read on: where its next message begins is not known any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not a SEQUENCE.
    #[error("an octet 0x{0:02x} where a message should begin")]
    NotSequence(u8),
    /// A length that is indefinite or of too many octets.
    #[error("a length that cannot be read")]
    Length,
    /// Longer than [`MAX_MESSAGE`].
    #[error("a message of {0} octets, more than 65536")]
    TooLong(usize),
}

/// Takes messages out of a stream. Holds one message and one read at most.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Where the next message begins.
    start: usize,
}

impl Framer {
    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, if there is one.
    ///
    /// # Errors
    ///
    /// If the stream cannot be read on.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let rest = &self.buffer[self.start..];
        let Some(length) = message_length(rest)? else { return Ok(None) };
        if rest.len() < length {
            return Ok(None);
        }
        let from = self.start;
        self.start += length;
        Ok(Some(&self.buffer[from..self.start]))
    }

    /// How many octets wait for the rest of their message.
    pub fn unfinished(&self) -> usize {
        self.buffer.len() - self.start
    }
}

/// The length of the message that begins here, with its header; none if too little is there to tell.
fn message_length(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some((&tag, rest)) = bytes.split_first() else { return Ok(None) };
    if tag != crate::snmp::ber::tag::SEQUENCE {
        return Err(FrameError::NotSequence(tag));
    }
    let Some((&first, rest)) = rest.split_first() else { return Ok(None) };
    let (header, content) = match first {
        0..=0x7f => (2, first as usize),
        0x81..=0x84 => {
            let octets = (first & 0x7f) as usize;
            let Some(length) = rest.get(..octets) else { return Ok(None) };
            (2 + octets, length.iter().fold(0, |n, octet| n << 8 | *octet as usize))
        }
        _ => return Err(FrameError::Length),
    };
    let whole = header + content;
    if whole > MAX_MESSAGE { Err(FrameError::TooLong(whole)) } else { Ok(Some(whole)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(content: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        crate::snmp::ber::push_tlv(&mut message, 0x30, content);
        message
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..6),
            cuts in prop::collection::vec(1usize..300, 1..20),
        ) {
            let messages: Vec<Vec<u8>> = contents.iter().map(|c| message(c)).collect();
            let stream = messages.concat();
            let (mut framer, mut got) = (Framer::default(), Vec::new());
            let (mut rest, mut cut) = (stream.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(*cut.next().unwrap()));
                rest = later;
                framer.push(now);
                while let Some(message) = framer.next_message().unwrap() {
                    got.push(message.to_vec());
                }
            }
            prop_assert_eq!(got, messages);
            prop_assert_eq!(framer.unfinished(), 0);
        }

        #[test]
        fn any_stream_is_safe(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut framer = Framer::default();
            framer.push(&bytes);
            while let Ok(Some(_)) = framer.next_message() {}
        }
    }

    #[test]
    fn what_cannot_be_read_on() {
        let error = |bytes: &[u8]| {
            let mut framer = Framer::default();
            framer.push(bytes);
            framer.next_message().unwrap_err()
        };
        assert_eq!(error(b"GET / HTTP/1.1"), FrameError::NotSequence(b'G'));
        assert_eq!(error(&[0x30, 0x80]), FrameError::Length);
        assert_eq!(error(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), FrameError::TooLong(0xffff_ffff + 6));
    }
}
