//! RELP, the Reliable Event Logging Protocol: frames, and what answers mean to who sends. Pure. The side of who receives is
//! [`relp_server`](super::relp_server).
//!
//! A frame is `TXNR SP COMMAND SP DATALEN [SP DATA] LF`. The receiver answers each with `TXNR rsp DATALEN CODE [TEXT]`, once it
//! has taken what was sent; 200 is the only code for that. Source: the RELP specification of librelp.

use nom::bytes::streaming::{tag, take, take_while_m_n};
use nom::combinator::{cond, map_opt, verify};
use nom::error::{Error, ErrorKind};
use nom::{IResult, Parser};

/// What a session begins with.
pub const OFFERS: &[u8] = b"relp_version=0\nrelp_software=trapline\ncommands=syslog";
/// The longest answer in bytes that is read.
const MAX_ANSWER: u32 = 64 * 1024;
/// Numbers have at most nine digits.
const LARGEST: u32 = 999_999_999;

/// The number of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number(u32);

impl Number {
    /// That of the first frame of a session.
    pub const FIRST: Number = Number(1);

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        if self.0 < LARGEST { Number(self.0 + 1) } else { Self::FIRST }
    }
}

/// Appends a frame.
pub fn push_frame(out: &mut Vec<u8>, number: Number, command: &str, data: &[u8]) {
    out.extend_from_slice(format!("{} {command} {}", number.0, data.len()).as_bytes());
    if !data.is_empty() {
        out.push(b' ');
        out.extend_from_slice(data);
    }
    out.push(b'\n');
}

/// What a receiver says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has the frame of this number.
    Taken(Number),
    /// It has not, and this is why.
    Refused(Number, String),
    /// It ends the session.
    Closes,
}

/// What the octets so far are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An answer of so many octets.
    Answer(Answer, usize),
    /// The beginning of one.
    Partial,
    /// No RELP.
    Nonsense,
}

/// Reads an answer from the beginning of some octets.
pub fn answer(octets: &[u8]) -> Found {
    match frame(octets) {
        Ok((rest, answer)) => Found::Answer(answer, octets.len() - rest.len()),
        Err(nom::Err::Incomplete(_)) => Found::Partial,
        Err(_) => Found::Nonsense,
    }
}

fn number(input: &[u8]) -> IResult<&[u8], u32> {
    let digits = take_while_m_n(1, 9, |octet: u8| octet.is_ascii_digit());
    map_opt(digits, |digits| std::str::from_utf8(digits).ok()?.parse().ok()).parse(input)
}

/// The longest head in octets: two numbers, a command and three spaces.
pub const MAX_HEAD: usize = 9 + 1 + 32 + 1 + 9 + 1;

/// The head of a frame: its number, its command, and how many octets of data follow behind a space. Without data, the line feed
/// that ends the frame follows at once.
pub fn head(input: &[u8]) -> IResult<&[u8], (Number, &[u8], u32)> {
    let command = take_while_m_n(1, 32, |octet: u8| octet.is_ascii_alphabetic());
    let (input, (txnr, _, command, _, length)) =
        (number, tag(" "), command, tag(" "), number).parse(input)?;
    let (input, _) = cond(length > 0, tag(" ")).parse(input)?;
    Ok((input, (Number(txnr), command, length)))
}

fn frame(input: &[u8]) -> IResult<&[u8], Answer> {
    let (input, (Number(number), command, length)) =
        verify(head, |head| head.2 <= MAX_ANSWER).parse(input)?;
    let (input, (data, _)) = (take(length), tag("\n")).parse(input)?;
    let code = data.split(|octet| !octet.is_ascii_digit()).next();
    let answer = match (command, code == Some(b"200")) {
        (b"serverclose", _) => Answer::Closes,
        (b"rsp", true) => Answer::Taken(Number(number)),
        (b"rsp", false) => Answer::Refused(Number(number), String::from_utf8_lossy(data).into_owned()),
        _ => return Err(nom::Err::Failure(Error::new(input, ErrorKind::Alt))),
    };
    Ok((input, answer))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_as_librelp_writes_them() {
        let mut out = Vec::new();
        push_frame(&mut out, Number::FIRST, "open", OFFERS);
        push_frame(&mut out, Number(999_999_999), "syslog", b"<1>x y\n");
        push_frame(&mut out, Number(999_999_999).next(), "close", b"");
        let expected = "1 open 53 relp_version=0\nrelp_software=trapline\ncommands=syslog\n999999999 syslog 7 <1>x y\n\n1 close 0\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn what_answers_mean() {
        for (octets, found) in [
            ("1 rsp 6 200 OK\n", Found::Answer(Answer::Taken(Number(1)), 15)),
            ("12 rsp 3 200\n9", Found::Answer(Answer::Taken(Number(12)), 13)),
            ("7 rsp 9 500 no\nnl\n", Found::Answer(Answer::Refused(Number(7), "500 no\nnl".to_owned()), 18)),
            ("7 rsp 7 2000 OK\n", Found::Answer(Answer::Refused(Number(7), "2000 OK".to_owned()), 16)),
            ("7 rsp 0\n", Found::Answer(Answer::Refused(Number(7), String::new()), 8)),
            ("0 serverclose 0\n", Found::Answer(Answer::Closes, 16)),
            ("1 rsp 6 200 OK", Found::Partial),
            ("1 rsp 6", Found::Partial),
            ("", Found::Partial),
            ("1 rsp 65537 2", Found::Nonsense),
            ("HTTP/1.1 400 Bad Request\r\n", Found::Nonsense),
            ("1 rsp 2 200 OK\n", Found::Nonsense),
            ("1 syslog 1 x\n", Found::Nonsense),
            ("1234567890 rsp 3 200\n", Found::Nonsense),
        ] {
            assert_eq!(answer(octets.as_bytes()), found, "{octets:?}");
        }
    }

    proptest! {
        /// Any octets are safe, and what was read of a part is not another answer when more comes.
        #[test]
        fn any_octets_in_any_pieces(octets in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"0129 rsp\n".to_vec())], 0..40), cut in 0usize..40) {
            let whole = answer(&octets);
            let part = answer(&octets[..cut.min(octets.len())]);
            prop_assert!(part == whole || part == Found::Partial);
        }
    }
}
