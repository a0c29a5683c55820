//! The names of templates that are rendered when a window ends, from the last outcome and what was counted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use minijinja::Value;

use crate::language::convert::to_value;
use crate::language::names::{Key, Names, Path, Resolved, Values};
use crate::language::value::Val;
use crate::outcome::result::Outcome;
use crate::settings::diagnostic::did_you_mean;

macro_rules! deferred {
    ($($variant:ident $name:literal,)+ ; $($of_seen:ident $seen:literal,)+) => {
        /// A variable of such a template.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Deferred {
            $(#[doc = concat!("`", $name, "`")] $variant,)+
            $(#[doc = concat!("`seen.", $seen, "`")] $of_seen,)+
        }

        /// Plain names.
        const PLAIN: &[(&str, Deferred)] = &[$(($name, Deferred::$variant),)+];
        /// Names behind `seen.`.
        const SEEN: &[(&str, Deferred)] = &[$(($seen, Deferred::$of_seen),)+];
    };
}

deferred! {
    Host "host",
    Service "service",
    State "state",
    Output "output",
    Rule "rule",
    Source "source",
    Key "key",
    ;
    Count "count",
    First "first",
    Last "last",
    Due "due",
}

/// What was counted. Times are seconds since 1970 UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many messages.
    pub count: u64,
    /// When the first came.
    pub first: i64,
    /// When the last came.
    pub last: i64,
    /// When the window ended.
    pub due: i64,
}

/// The names themselves.
#[derive(Debug, Clone, Copy)]
pub struct DeferredScope {
    /// Whether there is `key`: that of an expectation.
    pub expected: bool,
}

impl Names for DeferredScope {
    type Var = Deferred;

    fn resolve(&self, path: &Path<'_>) -> Resolved<Deferred> {
        let found = |names: &[(&str, Deferred)], name: &str| {
            names.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
        };
        match (path.base, path.keys.as_slice()) {
            ("seen", []) => Resolved::Table,
            ("seen", [Key::Name(name), ..]) => match found(SEEN, name) {
                Some(variable) if path.keys.len() == 1 => Resolved::Variable(variable),
                Some(_) => Resolved::Part,
                None => Resolved::Unknown(suggest(name, SEEN.iter().map(|(n, _)| *n), "seen has")),
            },
            ("seen", _) => Resolved::Unknown("write seen.count".to_owned()),
            (name, keys) => match found(PLAIN, name).filter(|v| self.expected || *v != Deferred::Key) {
                Some(variable) if keys.is_empty() => Resolved::Variable(variable),
                Some(_) => Resolved::Part,
                None => {
                    let names = PLAIN.iter().filter(|(_, v)| self.expected || *v != Deferred::Key);
                    let names = names.map(|(n, _)| *n).chain(["seen.count", "seen.first", "seen.last"]);
                    Resolved::Unknown(suggest(name, names, "it is rendered when a window ends, and knows"))
                }
            },
        }
    }

    fn is_text(&self, variable: &Deferred) -> bool {
        PLAIN.iter().any(|(_, plain)| plain == variable)
    }
}

fn suggest<'n>(name: &str, names: impl Iterator<Item = &'n str> + Clone, what: &str) -> String {
    did_you_mean(name, names.clone())
        .unwrap_or_else(|| format!("{what} {}", names.collect::<Vec<_>>().join(", ")))
}

/// What such a template is rendered with.
#[derive(Debug, Clone, Copy)]
pub struct DeferredValues<'o, 'm> {
    /// The last outcome.
    pub outcome: &'o Outcome<'m>,
    /// What was counted.
    pub seen: Seen,
    /// The key of an expectation.
    pub key: Option<&'o str>,
}

impl<'o> Values<'o, Deferred> for DeferredValues<'o, '_> {
    fn get(&self, variable: &'o Deferred) -> Val<'o> {
        let text = |text: &'o str| Val::Str(Cow::Borrowed(text));
        let common = self.outcome.common();
        let number = |number: i64| Val::Int(number.into());
        match variable {
            Deferred::Host => text(self.outcome.host()),
            Deferred::Service => Val::optional(self.outcome.service()),
            Deferred::State => text(common.state.as_str()),
            Deferred::Output => text(&common.output),
            Deferred::Rule => text(&common.rule),
            Deferred::Source => text(&common.source),
            Deferred::Key => Val::optional(self.key),
            Deferred::Count => Val::Int(self.seen.count.into()),
            Deferred::First => number(self.seen.first),
            Deferred::Last => number(self.seen.last),
            Deferred::Due => number(self.seen.due),
        }
    }

    fn table(&self, name: &str) -> Value {
        if name != "seen" {
            return Value::UNDEFINED;
        }
        let entries: BTreeMap<&str, Value> =
            SEEN.iter().map(|(name, variable)| (*name, to_value(self.seen_value(*variable)))).collect();
        Value::from(entries)
    }
}

impl DeferredValues<'_, '_> {
    fn seen_value(&self, variable: Deferred) -> Val<'static> {
        Val::Int(match variable {
            Deferred::Count => self.seen.count.into(),
            Deferred::First => self.seen.first.into(),
            Deferred::Last => self.seen.last.into(),
            _ => self.seen.due.into(),
        })
    }
}
