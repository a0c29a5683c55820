//! What all `[[sinks]]` share: [`Kind`], which describes a type of sink, [`Options`], by which it reads its keys, and
//! [`SinkConfig`], which is what an entry becomes.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use toml::Spanned;
use toml::de::DeValue;
use zeroize::Zeroizing;

use crate::rules::hours;
use crate::rules::looks::Looks;
use crate::settings::clear;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::settings::secret;
use crate::settings::section::{Located, Section};
use crate::settings::tls_keys;
use crate::settings::values;
use crate::sinks::fields::{Escape, Filter, Parsed, Template};
use crate::sinks::gate::Gate;
use crate::sinks::http::answers::Row;
use crate::sinks::machine::GIVE_UP;
use crate::sinks::sink::Sink;
use crate::time::calendar::Hours;

/// A type of sink. Each sink's file has one, and the registry lists it.
pub struct Kind {
    /// The value of `type`, and the name of its page in docs/sinks/.
    pub name: &'static str,
    /// Where outcomes go, for the table of types.
    pub says: &'static str,
    /// Its own keys, beside [`COMMON`].
    pub keys: &'static [&'static [Key]],
    /// What the server's answers mean, where it gives any by HTTP.
    pub answers: &'static [Row],
    /// Reads the keys. None if a mistake leaves nothing to build.
    pub read: fn(&mut Options<'_, '_, '_>) -> Option<Configured>,
}

impl Kind {
    /// Its own keys.
    pub fn own_keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().copied().flatten()
    }
}

/// A key of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its default as TOML; "required" if it has none and must be given, empty if it may be left out.
    pub default: &'static str,
    /// What it means, with unit and range.
    pub says: &'static str,
}

/// A configured sink, shared with whoever delivers to it.
pub type Configured = Arc<dyn Sink>;

/// The range of `give_up`.
const LEAST_GIVE_UP: Duration = Duration::from_mins(1);
const MOST_GIVE_UP: Duration = Duration::from_hours(365 * 24);

/// The keys of every sink.
pub const COMMON: &[Key] = &[
    Key { name: "type", default: "required", says: "One of the types below." },
    Key { name: "name", default: "the type", says: "Unique; names the cursor." },
    Key {
        name: "was",
        default: "",
        says: "The former name of a renamed sink. The sink takes over its backlog and dead letters.",
    },
    Key {
        name: "only",
        default: "",
        says: "An expression. The sink skips outcomes for which it is false: `only = \"outcome.state != 'ok'\"`, `only = \"outcome.labels.team == 'net'\"`.",
    },
    Key {
        name: "when",
        default: "",
        says: "Hours, as in `when` of a rule: `when = { days = \"mon-fri\", from = \"07:00\", to = \"19:00\" }`. The sink skips outcomes outside these hours.",
    },
    Key {
        name: "honour_mutes",
        default: "false",
        says: "Whether the sink skips muted outcomes and gets the last state of each service when the mute ends. For sinks that notify people.",
    },
    Key {
        name: "rate",
        default: "",
        says: "Maximum number of outcomes per second, with bursts of one second's worth. Range: 1 to 1000000.",
    },
    Key {
        name: "give_up",
        default: "\"1d\"",
        says: "How long a server that answers may accept nothing for a host and service before the oldest outcome becomes a dead letter. Range: `1min` to `365d`.",
    },
];

/// Makes a path of the configuration relative to the folder of its file.
pub type Resolve<'r> = &'r dyn Fn(&str) -> PathBuf;

/// The keys of one `[[sinks]]` entry.
///
/// Each method reads one key and reports what is wrong with its value. A wrong value gives the default, so that reading
/// goes on and all mistakes show at once; a configuration with a mistake is refused as a whole.
pub struct Options<'o, 'd, 's> {
    section: &'o Section<'d, 's>,
    resolve: Resolve<'o>,
    /// The tables that templates may look into.
    looks: &'o Looks,
    found: &'o mut Diagnostics,
}

impl<'o, 'd, 's> Options<'o, 'd, 's> {
    /// The keys of an entry; mistakes go to `found`.
    pub fn new(
        section: &'o Section<'d, 's>,
        (resolve, looks): (Resolve<'o>, &'o Looks),
        found: &'o mut Diagnostics,
    ) -> Self {
        Options { section, resolve, looks, found }
    }

    /// The value of a key, of any type.
    pub fn get(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'s>>> {
        self.section.get(key)
    }

    /// A string.
    pub fn string(&mut self, key: &'static str) -> Option<Located<String>> {
        self.section.string(key, self.found)
    }

    /// A string that is one of these words, or is reported by the caller.
    pub fn one_of(&mut self, key: &'static str, words: &[&str]) -> Option<Located<String>> {
        self.section.one_of(key, words, self.found)
    }

    /// A list of strings.
    pub fn strings(&mut self, key: &'static str) -> Option<Vec<Located<String>>> {
        self.section.strings(key, self.found)
    }

    /// A string with a default.
    pub fn text(&mut self, key: &'static str, default: &str) -> String {
        self.string(key).map_or_else(|| default.to_owned(), |text| text.value)
    }

    /// A string that must be there; `example` is shown where it is not.
    pub fn required(&mut self, key: &'static str, example: &str) -> Option<Located<String>> {
        if self.get(key).is_none() {
            self.missing(key, example);
        }
        self.string(key)
    }

    /// Reports that a key is missing.
    pub fn missing(&mut self, key: &str, example: &str) {
        self.report(format!("this sink needs '{key}'"), &format!("add {key} = \"{example}\""));
    }

    /// A file or folder that must be named; relative to the folder of the configuration.
    pub fn path(&mut self, key: &'static str, example: &str) -> Option<PathBuf> {
        let path = self.required(key, example)?;
        Some((self.resolve)(&path))
    }

    /// A file that may be named.
    pub fn optional_path(&mut self, key: &'static str) -> Option<Located<PathBuf>> {
        let Located { value, span } = self.string(key)?;
        Some(Located { value: (self.resolve)(&value), span })
    }

    /// True or false.
    pub fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.section.boolean(key, self.found).map_or(default, |value| value.value)
    }

    /// A whole number.
    pub fn integer(&mut self, key: &'static str) -> Option<Located<i64>> {
        self.section.integer(key, self.found)
    }

    /// A whole number of a range.
    pub fn number(&mut self, key: &'static str, range: RangeInclusive<u32>, unit: &str) -> Option<u32> {
        let number = self.integer(key)?;
        let valid = u32::try_from(number.value).ok().filter(|n| range.contains(n));
        if valid.is_none() {
            let (from, to) = (range.start(), range.end());
            self.report_at(&number.span, format!("{key} must be {from} to {to}{unit}"), None);
        }
        valid
    }

    /// `when`
    pub fn when(&mut self) -> Option<Hours> {
        hours::when(self.section, self.found)
    }

    /// A duration of a range.
    pub fn duration(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        values::duration(self.section, key, range, self.found)
    }

    /// One of some words; none if the key is not given. `what` is what they are, for messages.
    pub fn word<T: Copy>(&mut self, key: &'static str, known: &[(&'static str, T)], what: &str) -> Option<T> {
        values::word(self.section, key, known, what, self.found)
    }

    /// A password or token by one of its keys.
    pub(crate) fn secret(&mut self, keys: &secret::Keys) -> Option<Zeroizing<String>> {
        keys.read(self.section, self.resolve, self.found)
    }

    /// What a secret file says, as it is read by this function.
    pub(crate) fn secret_text<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        secret::whole(self.section, key, self.resolve, self.found, read)
    }

    /// Whether a password or token is given in some way.
    pub(crate) fn has_secret(&self, keys: &secret::Keys) -> bool {
        keys.given(self.section)
    }

    /// A token that must be given.
    pub(crate) fn required_secret(&mut self, keys: &secret::Keys) -> Option<Zeroizing<String>> {
        if !self.has_secret(keys) {
            self.missing(keys.inline, "...");
        }
        self.secret(keys)
    }

    /// A password or token as the value of a header, behind this text.
    pub(crate) fn secret_header(&mut self, keys: &secret::Keys, before: &str) -> Option<HeaderValue> {
        let secret = self.secret(keys)?;
        let value = HeaderValue::from_str(&Zeroizing::new(format!("{before}{}", secret.as_str())));
        let Ok(mut value) = value else {
            let message = format!("the {} has characters that no header can have", keys.inline);
            let span = self.section.key_span(keys.key(self.section));
            self.report_at(&span, message, Some("write it without line breaks and control characters"));
            return None;
        };
        value.set_sensitive(true);
        Some(value)
    }

    /// The same of one that must be given.
    pub(crate) fn required_secret_header(
        &mut self,
        keys: &secret::Keys,
        before: &str,
    ) -> Option<HeaderValue> {
        if !self.has_secret(keys) {
            self.missing(keys.inline, "...");
        }
        self.secret_header(keys, before)
    }

    /// Warns of secrets that are sent over a network without TLS. `to` are the servers, each a host and whether TLS is spoken.
    pub(super) fn in_the_clear(&mut self, to: &[(&str, bool)], secrets: &[String], how: &str, hint: &str) {
        for secret in secrets.iter().filter(|_| clear::is_exposed(to)) {
            self.warn(&clear::said(secret, how), hint);
        }
    }

    /// The keys of TLS for some servers, each a host and whether TLS is spoken; none where something is wrong.
    pub(super) fn tls(
        &mut self,
        servers: Option<&[(&str, bool)]>,
        without: (&str, &str),
    ) -> Option<Vec<tls_keys::Tls>> {
        tls_keys::read_all(self.section, self.resolve, servers, without, self.found)
    }

    /// A template over the outcome, whose values are escaped.
    pub fn template(&mut self, key: &'static str, escape: Escape) -> Option<Template> {
        let text = self.string(key)?;
        self.template_of(&text, escape)
    }

    /// The same of a text.
    pub fn template_of(&mut self, text: &Located<String>, escape: Escape) -> Option<Template> {
        self.parsed(text, Template::with(&text.value, escape, false, self.looks))
    }

    /// A table of templates over the outcome, by name. What is no name is reported, with `rule` as its hint.
    pub fn templates(
        &mut self,
        key: &'static str,
        escape: Escape,
        is_name: fn(&str) -> bool,
        rule: &str,
    ) -> Vec<(String, Template)> {
        let Some(table) = self.table(key) else { return Vec::new() };
        let mut all = Vec::new();
        for (name, span, value) in table.entries() {
            if !is_name(name) {
                self.report_at(&span, format!("'{name}' can be no name in '{key}'"), Some(rule));
                continue;
            }
            let Some(text) = value.get_ref().as_str() else {
                self.report_at(&value.span(), format!("'{name}' must be a string"), None);
                continue;
            };
            let text = Located { value: text.to_owned(), span: value.span() };
            let template = self.template_of(&text, escape);
            all.extend(template.map(|template| (name.to_owned(), template)));
        }
        all
    }

    /// What a template was compiled to; what is wrong in it is reported.
    pub fn parsed<T>(&mut self, text: &Located<String>, parsed: Parsed<T>) -> Option<T> {
        let source = self.section.source();
        for fault in parsed.faults {
            let span = text.span_of(source, fault.within);
            let error = source.error(&span, fault.message, fault.hint);
            self.found.push(Diagnostic { severity: fault.severity, ..error });
        }
        parsed.value
    }

    /// A table; none if there is none.
    pub fn table(&mut self, key: &'static str) -> Option<Section<'d, 's>> {
        self.section.section(key, self.found)
    }

    /// The keys of a table within, read by `read`; none if there is no such table.
    pub fn within<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Options<'_, 'd, 's>) -> T,
    ) -> Option<T> {
        let section = self.table(key)?;
        let value = read(&mut Options {
            section: &section,
            resolve: self.resolve,
            looks: self.looks,
            found: self.found,
        });
        section.finish(self.found);
        Some(value)
    }

    /// A template over the outcome and what was found, whose values are escaped.
    pub fn template_of_found(&mut self, key: &'static str, escape: Escape) -> Option<Template> {
        let text = self.string(key)?;
        self.parsed(&text, Template::with(&text.value, escape, true, self.looks))
    }

    /// Reports keys that are given and have no effect.
    pub fn unused(&mut self, keys: &[Key], hint: &str) {
        for key in keys {
            if self.get(key.name).is_some() {
                let span = self.section.key_span(key.name);
                self.report_at(&span, format!("'{}' has no effect here", key.name), Some(hint));
            }
        }
    }

    /// Reports a mistake of the entry as a whole.
    pub fn report(&mut self, message: impl Into<String>, hint: &str) {
        self.found.push(self.section.error(message, hint));
    }

    /// Reports a mistake that is described already.
    pub fn report_as(&mut self, mistake: Diagnostic) {
        self.found.push(mistake);
    }

    /// Warns of the entry as a whole.
    pub fn warn(&mut self, message: &str, hint: &str) {
        let error = self.section.error(message, hint);
        self.found.push(Diagnostic { severity: Severity::Warning, ..error });
    }

    /// Reports a mistake at a place of the file.
    pub fn report_at(&mut self, span: &Range<usize>, message: impl Display, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        self.found.push(self.section.source().error(span, message.to_string(), hint));
    }
}

/// One `[[sinks]]` entry.
#[derive(Debug, Clone)]
pub struct SinkConfig {
    /// `name`: unique; the sink's cursor goes by it.
    pub name: String,
    /// `only`: which outcomes the sink takes; none for all.
    pub only: Option<Filter>,
    /// `rate`: how many outcomes a second at most; none for any number.
    pub rate: Option<u32>,
    /// `give_up`: how long the server may take nothing of a host and service before its oldest outcome is given up.
    pub give_up: Duration,
    /// When it takes outcomes.
    pub gate: Gate,
    /// Where they go.
    pub sink: Configured,
}

impl SinkConfig {
    /// A sink that takes everything.
    pub fn new(name: impl Into<String>, sink: impl Sink + 'static) -> Self {
        let sink = Arc::new(sink);
        SinkConfig {
            name: name.into(),
            only: None,
            rate: None,
            give_up: GIVE_UP,
            gate: Gate::default(),
            sink,
        }
    }

    /// Reads the keys of every sink, and then those of its type; `kind` is the default name.
    pub fn read(
        options: &mut Options<'_, '_, '_>,
        kind: &str,
        own: impl FnOnce(&mut Options<'_, '_, '_>) -> Option<Configured>,
    ) -> Option<Self> {
        let name = options.string("name");
        let only = options
            .string("only")
            .and_then(|text| options.parsed(&text, Filter::with(&text.value, options.looks)));
        let gate = Gate { when: options.when(), honours_mutes: options.boolean("honour_mutes", false) };
        let rate = options.integer("rate").and_then(|rate| {
            let valid = u32::try_from(rate.value).ok().filter(|n| (1..=1_000_000).contains(n));
            if valid.is_none() {
                let hint = Some("leave it out for any number");
                options.report_at(&rate.span, "rate must be 1 to 1000000 outcomes a second", hint);
            }
            valid
        });
        let give_up = options.duration("give_up", LEAST_GIVE_UP..=MOST_GIVE_UP).unwrap_or(GIVE_UP);
        let name = match name {
            Some(name) if is_name(&name) => Some(name.value),
            Some(name) => {
                let hint = Some("use letters, digits, '-' and '_', at most 64");
                options.report_at(&name.span, "a sink's name is also the name of its cursor file", hint);
                None
            }
            None => Some(kind.to_owned()),
        };
        let sink = own(options);
        Some(SinkConfig { name: name?, only, rate, give_up, gate, sink: sink? })
    }
}

/// Whether a sink can have this name.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}
