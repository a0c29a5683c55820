//! A row of the history: an outcome as it is kept, and its JSON.

use serde_json::{Map, Value, json};

use super::endpoint;
use super::why::{Untold, Why};
use crate::outcome::codec;
use crate::outcome::record::Record;
use crate::outcome::result::{Outcome, State};
use crate::time::clock::rfc3339;

/// How many bytes of a text are kept.
const TEXT: usize = 8 << 10;
/// How many bytes of a name are kept.
const NAME: usize = 1 << 10;
/// How many labels and fields of an event are kept.
const PAIRS: usize = 64;

/// Whether somebody was told of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    None,
    /// It was muted.
    Muted,
    /// It is the last word of a mute, sent again.
    LastWord,
    /// There is no outcome: nobody was told.
    Untold(Why),
}

impl Mark {
    /// The first number of those without an outcome.
    pub(super) const UNTOLD: i64 = 3;

    /// Its number in the tables.
    pub(super) fn code(self) -> i64 {
        match self {
            Mark::None => 0,
            Mark::Muted => 1,
            Mark::LastWord => 2,
            Mark::Untold(why) => {
                Self::UNTOLD + Why::ALL.iter().position(|one| *one == why).unwrap_or(0) as i64
            }
        }
    }

    /// The mark of a number in the tables.
    pub(super) fn of_code(code: i64) -> Mark {
        match code {
            1 => Mark::Muted,
            2 => Mark::LastWord,
            _ => {
                let why = usize::try_from(code - Self::UNTOLD).ok().and_then(|at| Why::ALL.get(at));
                why.map_or(Mark::None, |why| Mark::Untold(*why))
            }
        }
    }

    /// By the word of the API: a reason, or `muted`.
    pub fn of_name(name: &str) -> Option<Mark> {
        if name == "muted" { Some(Mark::Muted) } else { Why::of(name).map(Mark::Untold) }
    }

    fn of(payload: &[u8]) -> Mark {
        match codec::mute_of(payload) {
            None => Mark::None,
            Some(mute) if mute.last => Mark::LastWord,
            Some(_) => Mark::Muted,
        }
    }
}

/// An outcome as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its key.
    pub n: i64,
    /// When the message was received, in microseconds since 1970 UTC.
    pub time: i64,
    /// The first half of its id.
    pub epoch: u64,
    /// The second half of its id.
    pub sequence: u64,
    /// Whether it is an event, not a check result.
    pub is_event: bool,
    /// The state.
    pub state: State,
    /// The state before, if this row changes it.
    pub previous: Option<State>,
    /// Whether it is the first of its host and service.
    pub is_first: bool,
    /// How many outcomes it stands for: itself, and others of its kind that have no row.
    pub count: u64,
    /// What mutes say of it.
    pub mark: Mark,
    /// The id of the rule.
    pub rule: String,
    /// The host, or the component.
    pub host: String,
    /// The service, or the resource.
    pub service: Option<String>,
    /// The address that the message came from.
    pub source: String,
    /// One line of text.
    pub output: String,
    /// What most outcomes have nothing of.
    pub rest: Rest,
}

/// What most outcomes have nothing of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rest {
    /// Further lines of text.
    pub long_output: String,
    /// Performance data.
    pub perfdata: String,
    /// Names and values.
    pub labels: Vec<(String, String)>,
    /// An event's own fields.
    pub fields: Vec<(String, String)>,
}

/// The beginning of a text that is too long.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most)])
}

fn pairs<'a, T: AsRef<str> + 'a>(all: &'a [(T, T)]) -> Vec<(String, String)> {
    all.iter()
        .take(PAIRS)
        .map(|(name, value)| (cut(name.as_ref(), NAME), cut(value.as_ref(), NAME)))
        .collect()
}

impl Row {
    /// The row of a record of the journal and its encoded outcome. Texts of more than 8 KiB and names of more than 1 KiB are cut.
    pub fn of(
        record: &Record<'_>,
        payload: &[u8],
        n: i64,
        (previous, is_first): (Option<State>, bool),
    ) -> Row {
        let outcome = &record.outcome;
        let common = outcome.common();
        let (perfdata, fields) = match outcome {
            Outcome::CheckResult(check) => (cut(&check.perfdata, TEXT), Vec::new()),
            Outcome::Event(event) => (String::new(), pairs(&event.fields)),
        };
        Row {
            n,
            time: common.time,
            epoch: record.epoch,
            sequence: record.sequence,
            is_event: matches!(outcome, Outcome::Event(_)),
            state: common.state,
            previous,
            is_first,
            count: 1,
            mark: Mark::of(payload),
            rule: cut(&common.rule, NAME),
            host: cut(outcome.host(), NAME),
            service: outcome.service().map(|service| cut(service, NAME)),
            source: cut(&common.source, NAME),
            output: cut(&common.output, TEXT),
            rest: Rest {
                long_output: cut(&common.long_output, TEXT),
                perfdata,
                labels: pairs(&common.labels),
                fields,
            },
        }
    }

    /// The row of messages that made nothing.
    pub(super) fn of_untold(untold: &Untold, n: i64) -> Row {
        Row {
            n,
            time: untold.time,
            epoch: 0,
            sequence: 0,
            is_event: untold.is_event,
            state: untold.state,
            previous: None,
            is_first: false,
            count: untold.count,
            mark: Mark::Untold(untold.why),
            rule: cut(&untold.rule, NAME),
            host: cut(&untold.host, NAME),
            service: untold.service.as_deref().map(|service| cut(service, NAME)),
            source: cut(&untold.source, NAME),
            output: cut(&untold.output, NAME),
            rest: Rest::default(),
        }
    }

    /// Why nobody was told; none if somebody was.
    pub fn why(&self) -> Option<&'static str> {
        match self.mark {
            Mark::None | Mark::LastWord => None,
            Mark::Muted => Some("muted"),
            Mark::Untold(why) => Some(why.name()),
        }
    }

    /// The same as a sentence.
    pub fn because(&self) -> Option<&'static str> {
        match self.mark {
            Mark::None | Mark::LastWord => None,
            Mark::Muted => Some("a mute covers it: sinks that honour mutes were not told"),
            Mark::Untold(why) => Some(why.says()),
        }
    }

    /// The word of its state; none where there was no outcome.
    pub fn state_word(&self) -> Option<&'static str> {
        match self.mark {
            Mark::Untold(why) if !why.has_outcome() => None,
            _ => Some(self.state.as_str()),
        }
    }

    /// Whether it changes the state of its host and service, or is the first of it.
    pub fn is_change(&self) -> bool {
        self.previous.is_some() || self.is_first
    }

    /// The id of its outcome; of messages without one a name of the row.
    pub fn id(&self) -> String {
        if let Mark::Untold(_) = self.mark {
            return format!("untold-{}", self.n);
        }
        format!("{:016x}-{}", self.epoch, self.sequence)
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        let pairs = self.rest.labels.iter().chain(&self.rest.fields);
        let pairs: usize = pairs.map(|(name, value)| name.len() + value.len()).sum();
        let texts = self.output.len() + self.rest.long_output.len() + self.rest.perfdata.len() + pairs;
        200 + 2 * texts + self.host.len() + self.service.as_ref().map_or(0, String::len)
    }

    /// The texts that a search by words looks at.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let values = self.rest.labels.iter().chain(&self.rest.fields).map(|(_, value)| value.as_str());
        [
            self.output.as_str(),
            &self.rest.long_output,
            &self.host,
            self.service.as_deref().unwrap_or_default(),
        ]
        .into_iter()
        .chain(values)
    }

    /// "check_result" or "event".
    pub fn kind(&self) -> &'static str {
        if self.is_event { "event" } else { "check_result" }
    }

    /// The JSON of commands and the API.
    pub fn to_json(&self) -> Value {
        let mut json = json!({
            "id": self.id(),
            "time": rfc3339(self.time),
            "kind": self.kind(),
            "state": self.state_word(),
            "previous": self.previous.map(State::as_str),
            "count": self.count,
            "rule": self.rule,
            "host": self.host,
            "service": self.service,
            "endpointId": endpoint::encode(&self.host, self.service.as_deref()),
            "source": self.source,
            "output": self.output,
            "long_output": self.rest.long_output,
            "perfdata": self.rest.perfdata,
        });
        let object = |pairs: &[(String, String)]| -> Value {
            pairs
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().into()))
                .collect::<Map<_, _>>()
                .into()
        };
        if !self.rest.labels.is_empty() {
            json["labels"] = object(&self.rest.labels);
        }
        if self.is_event {
            json["fields"] = object(&self.rest.fields);
        }
        match self.mark {
            Mark::None => {}
            Mark::Muted => json["muted"] = true.into(),
            Mark::LastWord => json["last_word"] = true.into(),
            Mark::Untold(_) => {}
        }
        if let (Some(why), Some(because)) = (self.why(), self.because()) {
            json["why"] = why.into();
            json["because"] = because.into();
        }
        json
    }
}

impl Rest {
    /// As the column `rest` has it; none if there is nothing.
    pub(super) fn to_column(&self) -> Option<String> {
        if *self == Rest::default() {
            return None;
        }
        let mut json = Map::new();
        for (name, text) in [("long_output", &self.long_output), ("perfdata", &self.perfdata)] {
            if !text.is_empty() {
                json.insert(name.to_owned(), text.as_str().into());
            }
        }
        for (name, pairs) in [("labels", &self.labels), ("fields", &self.fields)] {
            if !pairs.is_empty() {
                // A list of pairs: an event may have a field twice.
                json.insert(name.to_owned(), json!(pairs));
            }
        }
        Some(Value::Object(json).to_string())
    }

    pub(super) fn of_column(text: Option<&str>) -> Rest {
        let json: Value = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        let pairs = |name: &str| {
            let all = json[name].as_array().into_iter().flatten();
            all.filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned())))
                .collect()
        };
        Rest {
            long_output: text("long_output"),
            perfdata: text("perfdata"),
            labels: pairs("labels"),
            fields: pairs("fields"),
        }
    }
}
