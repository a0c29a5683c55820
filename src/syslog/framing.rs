//! Messages out of a stream (RFC 6587): octet counting (`LEN SP MSG`, section 3.4.1) and lines (section 3.4.2), told apart by what the
//! stream has been so far.
//!
//! A line may begin like a count, so a count counts for certain only in a stream that is counted already. Elsewhere a message must
//! end where it says: what follows it begins a message, ends a line, or is the end. Until that has come the message waits, at most
//! until the stream is [quiet](Framer::quiet).

/// The longest message that can be taken whole, in octets.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// The most digits of a count.
const MAX_DIGITS: usize = 9;

/// A message of a stream, without its framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framed<'f> {
    /// Its octets; at least one.
    pub message: &'f [u8],
    /// Whether its end is missing: it was longer than the framer takes, or the stream ended within its count.
    pub cut: bool,
}

/// What a stream has been so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing was taken yet.
    #[default]
    Unknown,
    /// The last message was a line.
    Lines,
    /// The last message was counted.
    Counted,
}

/// How much of a stream there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Extent {
    /// More may come.
    #[default]
    Open,
    /// Nothing came for a while: what is there is not waited with any longer.
    Quiet,
    /// Nothing follows.
    Ended,
}

#[derive(Debug, Clone, Copy)]
enum Skip {
    Octets(usize),
    Line,
}

/// Cuts a stream into messages. Holds at most one unfinished message and what was pushed last.
#[derive(Debug)]
pub struct Framer {
    /// The longest message that is taken whole, in octets; a longer one is cut and its rest skipped.
    most: usize,
    buffer: Vec<u8>,
    /// Where the next message begins.
    start: usize,
    /// How many octets from there on are known to end no line.
    searched: usize,
    /// Octets of an oversized message that are still to be skipped.
    skip: Option<Skip>,
    state: State,
    extent: Extent,
    /// Whether the message that begins now is known to be a line, though it begins like a count.
    is_line: bool,
    /// How often a counted stream went on with what is no count.
    lost: u64,
}

/// The first message of some octets: the place of its text, where the next one begins, and what is left of one that was cut.
struct Taken {
    text: (usize, usize),
    next: usize,
    rest: Option<Skip>,
    cut: bool,
    state: State,
}

/// What octets are, of which more may come.
enum Seen<T> {
    Yes(T),
    No,
    /// That depends on what follows.
    Wait,
}

impl Default for Framer {
    fn default() -> Self {
        Framer::new(MAX_MESSAGE)
    }
}

impl Framer {
    /// One that takes messages of at most `most` octets whole.
    pub fn new(most: usize) -> Self {
        Framer {
            most,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            skip: None,
            state: State::default(),
            extent: Extent::default(),
            is_line: false,
            lost: 0,
        }
    }

    /// Adds received octets.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.extent = Extent::Open;
        self.buffer.extend_from_slice(octets);
    }

    /// The next whole message. Empty ones are skipped.
    pub fn next_message(&mut self) -> Option<Framed<'_>> {
        self.skip_rest();
        if self.skip.is_some() {
            return None;
        }
        self.skip_between();
        let taken = self.take()?;
        let at = self.start;
        self.start += taken.next;
        self.searched = 0;
        self.is_line = false;
        self.skip = taken.rest;
        if self.state == State::Counted && taken.state == State::Lines {
            self.lost += 1;
        }
        self.state = taken.state;
        let message = &self.buffer[at + taken.text.0..at + taken.text.1];
        Some(Framed { message, cut: taken.cut })
    }

    /// Nothing has come for a while: a message that waits for what follows it waits no longer.
    pub fn quiet(&mut self) {
        if self.extent == Extent::Open {
            self.extent = Extent::Quiet;
        }
    }

    /// Whether something waits that [`Framer::quiet`] would give.
    pub fn waits(&self) -> bool {
        let begins = self.buffer.get(self.start).is_some_and(u8::is_ascii_digit);
        self.extent == Extent::Open
            && self.state != State::Counted
            && self.skip.is_none()
            && !self.is_line
            && begins
    }

    /// The stream ends: each call gives a message of what is left.
    pub fn finish(&mut self) -> Option<Framed<'_>> {
        self.extent = Extent::Ended;
        self.next_message()
    }

    /// How often a counted stream went on with what is no count, since the last call.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn pending(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn skip_rest(&mut self) {
        match self.skip {
            Some(Skip::Octets(left)) => {
                let now = left.min(self.pending().len());
                self.start += now;
                self.skip = (left > now).then_some(Skip::Octets(left - now));
            }
            Some(Skip::Line) => match self.pending().iter().position(|octet| ends_line(*octet)) {
                Some(at) => {
                    self.start += at + 1;
                    self.skip = None;
                }
                None => self.start = self.buffer.len(),
            },
            None => {}
        }
    }

    /// Some senders write spaces or NUL behind a line feed, others a line feed behind a count.
    fn skip_between(&mut self) {
        if self.searched > 0 || self.is_line {
            // A message has begun.
            return;
        }
        let between =
            self.pending().iter().take_while(|octet| matches!(octet, b'\r' | b'\n' | 0 | b' ')).count();
        self.start += between;
    }

    fn take(&mut self) -> Option<Taken> {
        if self.pending().is_empty() {
            return None;
        }
        if !self.is_line {
            match self.counted() {
                Seen::Yes(taken) => return Some(taken),
                Seen::Wait => return None,
                Seen::No => self.is_line = true,
            }
        }
        self.line()
    }

    /// A counted message, where one begins.
    fn counted(&self) -> Seen<Taken> {
        let pending = self.pending();
        let (length, start) = match count(pending) {
            Seen::Yes(count) => count,
            Seen::Wait if self.extent == Extent::Open => return Seen::Wait,
            Seen::Wait | Seen::No => return Seen::No,
        };
        let (sure, body) = (self.state == State::Counted, &pending[start..]);
        // In a stream of lines a count stands before a priority.
        let has_priority = match priority(body) {
            Seen::Yes(()) => true,
            Seen::Wait if !sure && self.extent == Extent::Open => return Seen::Wait,
            Seen::Wait | Seen::No => false,
        };
        if !sure && !has_priority && self.state == State::Lines {
            return Seen::No;
        }
        let kept = length.min(self.most);
        let text = |to: usize| (start, start + to);
        if body.len() < kept {
            return match self.extent {
                Extent::Open => Seen::Wait,
                Extent::Quiet if sure => Seen::Wait,
                Extent::Ended
                    if sure || (has_priority && self.state == State::Unknown && !body.contains(&b'\n')) =>
                {
                    let (text, next) = (text(body.len()), pending.len());
                    if body.is_empty() {
                        // A count alone is no message.
                        return Seen::Wait;
                    }
                    Seen::Yes(Taken { text, next, rest: None, cut: true, state: State::Counted })
                }
                Extent::Quiet | Extent::Ended => Seen::No,
            };
        }
        if length > self.most {
            // As a line it would have ended by now, or would be cut at the same place.
            if !sure && body[..kept].contains(&b'\n') {
                return Seen::No;
            }
            let to = cut(&body[..kept]);
            let rest = Some(Skip::Octets(length - to));
            return Seen::Yes(Taken {
                text: text(to),
                next: start + to,
                rest,
                cut: true,
                state: State::Counted,
            });
        }
        let taken =
            Taken { text: text(length), next: start + length, rest: None, cut: false, state: State::Counted };
        if sure {
            return Seen::Yes(taken);
        }
        let (behind, whole) = (&body[length..], self.extent != Extent::Open);
        let ends = match boundary(behind) {
            Seen::No if !has_priority => counted_as_well(behind, self.most.saturating_sub(length), whole),
            other => other,
        };
        match ends {
            Seen::Yes(()) => Seen::Yes(taken),
            Seen::No => Seen::No,
            Seen::Wait if self.extent == Extent::Open => Seen::Wait,
            Seen::Wait if body.len() == length => Seen::Yes(taken),
            Seen::Wait => Seen::No,
        }
    }

    /// A line.
    fn line(&mut self) -> Option<Taken> {
        let pending = &self.buffer[self.start..];
        let end = pending.iter().take(self.most + 1).skip(self.searched).position(|octet| ends_line(*octet));
        let taken = |to, next, rest: Option<Skip>| Taken {
            text: (0, to),
            next,
            cut: rest.is_some(),
            rest,
            state: State::Lines,
        };
        match end.map(|after| self.searched + after) {
            Some(at) => {
                let to = at - usize::from(at > 1 && pending[at - 1] == b'\r');
                Some(taken(to, at + 1, None))
            }
            None if pending.len() > self.most => {
                let to = cut(&pending[..self.most]);
                Some(taken(to, to, Some(Skip::Line)))
            }
            None if self.extent == Extent::Ended => Some(taken(pending.len(), pending.len(), None)),
            None => {
                self.searched = pending.len();
                None
            }
        }
    }
}

/// The message of a datagram. Some senders write a count before it, as in a stream; it goes if it counts the rest exactly.
pub fn of_datagram(datagram: &[u8]) -> &[u8] {
    match count(datagram) {
        Seen::Yes((length, start)) if datagram.len() - start == length => &datagram[start..],
        _ => datagram,
    }
}

/// Some devices end lines with NUL (RFC 6587, section 3.4.2).
fn ends_line(octet: u8) -> bool {
    matches!(octet, b'\n' | 0)
}

/// MSG-LEN of octet counting and where the message behind it begins.
fn count(pending: &[u8]) -> Seen<(usize, usize)> {
    if !matches!(pending.first(), Some(b'1'..=b'9')) {
        return Seen::No;
    }
    let digits = pending.iter().take(MAX_DIGITS + 1).take_while(|octet| octet.is_ascii_digit()).count();
    let length = pending[..digits].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    match pending.get(digits) {
        _ if digits > MAX_DIGITS => Seen::No,
        Some(b' ') => Seen::Yes((length, digits + 1)),
        Some(_) => Seen::No,
        None => Seen::Wait,
    }
}

/// Whether a priority begins: `<`, one to three digits, `>`.
fn priority(octets: &[u8]) -> Seen<()> {
    match octets.first() {
        Some(b'<') => {}
        Some(_) => return Seen::No,
        None => return Seen::Wait,
    }
    let digits = octets[1..].iter().take(4).take_while(|octet| octet.is_ascii_digit()).count();
    match octets.get(1 + digits) {
        _ if digits > 3 => Seen::No,
        Some(b'>') if digits > 0 => Seen::Yes(()),
        Some(_) => Seen::No,
        None => Seen::Wait,
    }
}

/// Whether another message can begin here.
fn boundary(octets: &[u8]) -> Seen<()> {
    match octets.first() {
        None => Seen::Wait,
        Some(b'\n' | b'\r' | 0) => Seen::Yes(()),
        Some(b'<') => priority(octets),
        Some(_) => match count(octets) {
            Seen::Yes((_, start)) => priority(&octets[start..]),
            Seen::No => Seen::No,
            Seen::Wait => Seen::Wait,
        },
    }
}

/// Whether a message of at most `most` octets follows that is counted without a priority, too, and ends where another one can begin or,
/// if nothing more comes, at the end.
fn counted_as_well(octets: &[u8], most: usize, whole: bool) -> Seen<()> {
    let (length, start) = match count(octets) {
        Seen::Yes(count) => count,
        Seen::No => return Seen::No,
        Seen::Wait => return if whole { Seen::No } else { Seen::Wait },
    };
    let Some(behind) = octets[start..].get(length..).filter(|_| length <= most) else {
        return if whole || length > most { Seen::No } else { Seen::Wait };
    };
    match boundary(behind) {
        Seen::Yes(()) => Seen::Yes(()),
        Seen::Wait if behind.is_empty() && whole => Seen::Yes(()),
        Seen::Wait if !whole => Seen::Wait,
        Seen::Wait => Seen::No,
        Seen::No => match count(behind) {
            Seen::Yes(_) => Seen::Yes(()),
            Seen::Wait if !whole => Seen::Wait,
            Seen::Wait | Seen::No => Seen::No,
        },
    }
}

/// The beginning of a message that has at most `most` octets, which are not 0, and whether that is not all of it.
pub fn within(message: &[u8], most: usize) -> (&[u8], bool) {
    if message.len() <= most { (message, false) } else { (&message[..cut(&message[..most])], true) }
}

/// Where to cut, so that no character of UTF-8 is cut in two. At least one octet stays.
pub(super) fn cut(octets: &[u8]) -> usize {
    let tail = octets.iter().rev().take(3).take_while(|octet| (0x80..0xC0).contains(*octet)).count();
    let lead = octets.len() - tail;
    let needs = match lead.checked_sub(1).map(|at| octets[at]) {
        Some(0xC2..=0xDF) => 2,
        Some(0xE0..=0xEF) => 3,
        Some(0xF0..=0xF4) => 4,
        // No character begins there: then it is no UTF-8.
        _ => return octets.len(),
    };
    if tail + 1 < needs && lead > 1 { lead - 1 } else { octets.len() }
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
