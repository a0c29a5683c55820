//! Hostile outcomes, drawn from a seed.

use std::borrow::Cow;

use crate::outcome::name::Name;
use crate::outcome::result::{CheckResult, Common, Event, Outcome, State};

/// What hostile texts are made of.
const PIECES: [&str; 62] = [
    "\n",
    "\r\n",
    "\r",
    "\0",
    "\t",
    "\u{b}",
    "\u{c}",
    "\u{7}",
    "\u{8}",
    "\u{7f}",
    "\u{85}",
    "\u{9b}31m",
    "\u{9d}0;t\u{9c}",
    "\u{1b}[2J",
    "\u{1b}]0;pwn\u{7}",
    "\u{1b}P+q\u{1b}\\",
    "\u{2028}",
    "\u{2029}",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
    "\u{feff}",
    "\u{200b}",
    "\u{fffd}",
    "\u{10ffff}",
    "\"",
    "'",
    "\\",
    "\\n",
    "\\\"",
    "`",
    ";",
    "|",
    "!",
    "&",
    "=",
    "%",
    "%2f",
    "%2e%2e",
    "%00",
    "/",
    "/../",
    "../..",
    "..",
    ".",
    "?",
    "#",
    "*",
    "a.b",
    "@everyone",
    "@here",
    "<!channel>",
    "<@U1>",
    "<https://evil|intranet>",
    "[x](http://y)",
    "**b**",
    "<script>alert(1)</script>",
    "\n[1] SHUTDOWN_PROGRAM;",
    "\nreturn_code=0\n",
    "\r\nX-Forged: 1\r\n\r\n",
    "$(reboot)",
    "{{ outcome.host }}",
];

/// Texts of an outcome whose places are looked for.
pub(super) const MARKED: Texts<&str> = Texts {
    host: "MARKhost",
    service: "MARKservice",
    output: "MARKoutput",
    long_output: "MARKlong",
    perfdata: "MARKperfdata",
    source: "MARKsource",
    value: "MARKvalue",
};

/// The texts that messages have a part in.
#[derive(Debug, Clone)]
pub(super) struct Texts<T> {
    pub(super) host: T,
    pub(super) service: T,
    pub(super) output: T,
    pub(super) long_output: T,
    pub(super) perfdata: T,
    pub(super) source: T,
    pub(super) value: T,
}

/// A hostile outcome.
#[derive(Debug)]
pub(super) struct Hostile {
    pub(super) texts: Texts<String>,
    event: bool,
    second: bool,
    state: State,
    /// The names of an event's own fields, which rules choose.
    fields: Vec<&'static str>,
    /// The names of labels, which rules choose.
    labels: Vec<&'static str>,
}

/// SplitMix64: a seed gives the same outcome everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    fn text(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.below(5) {
            match self.below(4) {
                0 => text.push_str(["sw1", "Gi0/3", " ", "ü", "日本", "x"][self.below(6)]),
                1 if self.one_in(4) => text.extend(char::from_u32(self.next() as u32 % 0x11_0000)),
                _ => text.push_str(PIECES[self.below(PIECES.len())]),
            }
        }
        match self.below(400) {
            0 => text.repeat(65_536 / text.len().max(1)),
            1 => " ".repeat(1 + self.below(9)),
            _ => text,
        }
    }
}

impl Hostile {
    pub(super) fn new(random: &mut Random) -> Self {
        // With a usual name the other texts get further than to a dead letter.
        let name = |random: &mut Random| if random.one_in(2) { "sw1".to_owned() } else { random.text() };
        let texts = Texts {
            host: name(random),
            service: name(random),
            output: random.text(),
            long_output: random.text(),
            perfdata: random.text(),
            source: random.text(),
            value: random.text(),
        };
        let event = random.one_in(3);
        let states = if event || random.one_in(2) { &State::ALL[..4] } else { &State::ALL[4..] };
        let names =
            ["tags", "event_type", "host", "connector", "state", "__proto__", "a\"b", "a\nb", "x", "id"];
        let fields = names.into_iter().filter(|_| random.one_in(3)).collect();
        // Rules leave out labels without a value.
        let valued = !Name::from(texts.value.as_str()).is_empty();
        let labels = ["category", "severity", "team"];
        let labels = labels.into_iter().filter(|_| valued && random.one_in(3)).collect();
        Hostile {
            texts,
            event,
            second: !states[0].is_host(),
            state: states[random.below(states.len())],
            fields,
            labels,
        }
    }

    /// The outcome.
    pub(super) fn outcome(&self) -> Outcome<'_> {
        let Texts { host, service, output, long_output, perfdata, source, value } = &self.texts;
        self.made(&Texts { host, service, output, long_output, perfdata, source, value })
    }

    /// The outcome with marks in the place of its texts. A text that is empty stays so: sinks leave out what is empty.
    pub(super) fn marked(&self) -> Outcome<'static> {
        let of = |text: &str, mark: &'static str| if text.is_empty() { "" } else { mark };
        self.made(&Texts {
            long_output: of(&self.texts.long_output, MARKED.long_output),
            perfdata: of(&self.texts.perfdata, MARKED.perfdata),
            ..MARKED
        })
    }

    fn made<'a>(&self, texts: &Texts<&'a str>) -> Outcome<'a> {
        let common = Common {
            time: 1_700_000_000_123_456,
            rule: "r".into(),
            state: self.state,
            output: texts.output.into(),
            long_output: texts.long_output.into(),
            source: texts.source.into(),
            labels: self.labels.iter().map(|name| (Cow::Borrowed(*name), texts.value.into())).collect(),
        };
        let second = self.second.then(|| texts.service.into());
        if self.event {
            let fields = self.fields.iter().map(|name| (Cow::Borrowed(*name), texts.value.into())).collect();
            return Outcome::Event(Event { common, component: texts.host.into(), resource: second, fields });
        }
        let perfdata = texts.perfdata.into();
        Outcome::CheckResult(CheckResult { common, host: texts.host.into(), service: second, perfdata })
    }
}
