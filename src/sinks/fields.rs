//! Expressions and templates over one outcome, as the configuration of a sink has them.
//!
//! A template works on the outcome's fields as they are. What it writes is escaped for the place where it stands, value by
//! value and last of all, so that no filter can undo the escaping.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minijinja::value::Value;

use crate::language::convert::to_value;
use crate::language::jinja::Environment;
use crate::language::names::{Doubt, Key, Names, Path, Resolved, Values};
use crate::language::template::{self, Compiler, Expression, Fault};
use crate::language::value::Val;
use crate::lookup::tables::Tables;
use crate::outcome::json::{self, FIELDS};
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::rules::looks::{Looks, NamedLook};
use crate::rules::lookups;
use crate::settings::diagnostic::did_you_mean;
use crate::sinks::http::escape::{MAX_KEY, key_of};
use crate::sinks::sink::Said;
use crate::time::clock::rfc3339;

pub use crate::language::jinja::Escape;

/// What a source was compiled to, none if it has errors, and what was found in it.
#[derive(Debug, Clone)]
pub struct Parsed<T> {
    /// What it was compiled to.
    pub value: Option<T>,
    /// Errors and warnings, each with its place in the source.
    pub faults: Vec<Fault>,
}

/// A template over `outcome`.
#[derive(Debug, Clone)]
pub struct Template(Arc<Compiled<template::Template<Field>>>);

/// `only`: a condition over `outcome`.
#[derive(Debug, Clone)]
pub struct Filter {
    condition: Arc<Compiled<Expression<Field>>>,
    failures: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Compiled<T> {
    environment: Environment,
    what: T,
    looks: Looks,
}

/// A field of an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    /// One of [`FIELDS`], by its place.
    Known(usize),
    /// An event's own field.
    Own(String),
    /// A label.
    Label(String),
    /// `key`: host and service, as one text.
    Key,
    /// `found`: what a search has found.
    Found,
    /// `lookup('table', ...).column`
    Look(NamedLook),
}

/// The names that a template may use. The source tells `outcome.name` from `outcome['name']`.
struct OutcomeNames<'s> {
    source: &'s str,
    /// Whether there is something that was found.
    finds: bool,
    looks: &'s Looks,
}

const NAME: &str = "outcome";
const KEY: &str = "key";
const FOUND: &str = "found";

impl Template {
    /// Compiles a template; `escape` is applied to every value that it writes.
    pub fn new(source: &str, escape: Escape) -> Parsed<Self> {
        Self::with(source, escape, false, &Looks::default())
    }

    /// The same with tables to look into; with `finds`, `found` is what a search has found.
    pub fn with(source: &str, escape: Escape, finds: bool, looks: &Looks) -> Parsed<Self> {
        let mut environment = Environment::escaping(escape);
        let names = OutcomeNames { source, finds, looks };
        let mut compiler = Compiler::new(&names, &mut environment);
        let compiled = compiler.template(source);
        let faults = compiler.faults;
        let looks = looks.clone();
        let value = compiled.map(|what| Template(Arc::new(Compiled { environment, what, looks })));
        Parsed { value, faults }
    }

    /// The text for a record.
    ///
    /// # Errors
    ///
    /// Why it cannot be computed.
    pub fn render(&self, record: &Record<'_>) -> Result<String, Said> {
        self.render_with(record, None)
    }

    /// The text for a record, with what was found.
    ///
    /// # Errors
    ///
    /// Why it cannot be computed.
    pub fn render_with(&self, record: &Record<'_>, found: Option<&str>) -> Result<String, Said> {
        let Compiled { environment, what, looks } = &*self.0;
        let tables = looks.tables();
        match what.render_whole(environment, &OutcomeValues { record, found, tables: &tables }) {
            Ok(text) => Ok(text.into_owned()),
            Err(error) => Err(Said::from(error.to_string())),
        }
    }
}

impl Filter {
    /// Compiles an expression such as `outcome.state != 'ok'`.
    pub fn new(source: &str) -> Parsed<Self> {
        Self::with(source, &Looks::default())
    }

    /// The same with tables to look into.
    pub fn with(source: &str, looks: &Looks) -> Parsed<Self> {
        let mut environment = Environment::default();
        let names = OutcomeNames { source, finds: false, looks };
        let mut compiler = Compiler::new(&names, &mut environment);
        let compiled = compiler.expression(source);
        let faults = compiler.faults;
        let value = compiled.map(|what| Filter {
            condition: Arc::new(Compiled { environment, what, looks: looks.clone() }),
            failures: Arc::default(),
        });
        Parsed { value, faults }
    }

    /// Whether the sink takes a record. It does if the condition cannot be computed: an outcome too many is better than one
    /// that is lost.
    pub fn takes(&self, record: &Record<'_>) -> bool {
        let Compiled { environment, what, looks } = &*self.condition;
        let tables = looks.tables();
        match what.eval(environment, &OutcomeValues { record, found: None, tables: &tables }) {
            Ok(value) => value.is_true(),
            Err(error) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
                if failures.is_power_of_two() {
                    let error = Said::from(error.to_string());
                    tracing::warn!(
                        failures,
                        "'only' of a sink cannot be computed, the outcome is sent: {error}"
                    );
                }
                true
            }
        }
    }
}

impl Names for OutcomeNames<'_> {
    type Var = Field;

    fn resolve(&self, path: &Path<'_>) -> Resolved<Field> {
        let keys = match (path.base, path.keys.as_slice()) {
            (NAME, keys) => keys,
            (KEY, []) => return Resolved::Variable(Field::Key),
            (FOUND, []) if self.finds => return Resolved::Variable(Field::Found),
            (name, _) => {
                let near = did_you_mean(name, [NAME, KEY]);
                return Resolved::Unknown(
                    near.unwrap_or_else(|| "fields are written outcome.host".to_owned()),
                );
            }
        };
        match keys {
            [] => Resolved::Table,
            [Key::Name(name)] if name == "labels" => Resolved::Table,
            [Key::Name(labels), Key::Name(name)] if labels == "labels" => {
                Resolved::Variable(Field::Label(name.to_string()))
            }
            [Key::Name(name)] => match FIELDS.iter().position(|known| known == name) {
                Some(at) => Resolved::Variable(Field::Known(at)),
                None if self.source.get(path.span.clone()).is_some_and(|text| text.ends_with(']')) => {
                    Resolved::Variable(Field::Own(name.to_string()))
                }
                None => Resolved::Unknown(did_you_mean(name, FIELDS).unwrap_or_else(|| {
                    format!(
                        "fields: {}; an event's own fields are written outcome['name']",
                        FIELDS.join(", ")
                    )
                })),
            },
            _ => Resolved::Part,
        }
    }

    fn is_text(&self, field: &Field) -> bool {
        !matches!(field, Field::Look(_))
    }

    fn function(
        &self,
        name: &str,
        first: Option<&str>,
        args: usize,
        keys: &[Key<'_>],
    ) -> Option<Result<Field, Doubt>> {
        (name == lookups::FUNCTION).then(|| self.looks.look(first, args, keys).map(Field::Look))
    }

    fn engine_functions(&self) -> &'static [&'static str] {
        &[lookups::FUNCTION]
    }
}

/// The fields of `outcome`, as they are.
struct OutcomeValues<'m> {
    record: &'m Record<'m>,
    found: Option<&'m str>,
    tables: &'m Arc<Tables>,
}

impl<'m> Values<'m, Field> for OutcomeValues<'m> {
    fn get(&self, field: &'m Field) -> Val<'m> {
        match field {
            Field::Known(at) => self.known(FIELDS[*at]),
            Field::Own(name) => {
                self.own().find(|(own, _)| own == name).map_or(Val::Undefined, |(_, v)| text(v))
            }
            Field::Label(name) => {
                let labels = &self.record.outcome.common().labels;
                labels.iter().find(|(known, _)| known == name).map_or(Val::Undefined, |(_, v)| text(v))
            }
            Field::Key => Val::Str(key_of(self.record, MAX_KEY).into()),
            Field::Found => Val::optional(self.found),
            Field::Look(_) => Val::Undefined,
        }
    }

    fn call(&self, function: &'m Field, args: &[Val<'m>]) -> Val<'m> {
        let Field::Look(look) = function else { return Val::Undefined };
        let table = self.tables.place(&look.table).and_then(|place| self.tables.at(place));
        lookups::found(table, look.column.as_deref(), args.first())
    }

    fn table(&self, name: &str) -> Value {
        if name == lookups::FUNCTION {
            return lookups::function(self.tables);
        }
        let known = FIELDS.iter().map(|name| (*name, to_value(self.known(name))));
        let own = self.own().map(|(name, value)| (name, Value::from(value)));
        let there = known.chain(own).filter(|(_, value)| !value.is_undefined());
        let labels = &self.record.outcome.common().labels;
        let labels: BTreeMap<String, Value> =
            labels.iter().map(|(name, value)| (name.to_string(), Value::from(&**value))).collect();
        let there = there.map(|(name, value)| (name.to_owned(), value));
        Value::from(
            there.chain([("labels".to_owned(), Value::from(labels))]).collect::<BTreeMap<String, Value>>(),
        )
    }
}

fn text(text: &str) -> Val<'_> {
    Val::Str(text.into())
}

impl<'m> OutcomeValues<'m> {
    fn own(&self) -> impl Iterator<Item = (&'m str, &'m str)> {
        let event = match &self.record.outcome {
            Outcome::Event(event) => Some(event),
            Outcome::CheckResult(_) => None,
        };
        event.into_iter().flat_map(json::own_fields)
    }

    /// The value of one of [`FIELDS`]. An event has host and service, too: its component and resource.
    fn known(&self, name: &str) -> Val<'m> {
        let record = self.record;
        let common = record.outcome.common();
        match (name, &record.outcome) {
            ("id", _) => Val::Str(record.id().into()),
            ("time", _) => Val::Str(rfc3339(common.time).into()),
            ("kind", outcome) => text(outcome.kind()),
            ("rule", _) => text(&common.rule),
            ("state", _) => text(common.state.as_str()),
            ("output", _) => text(&common.output),
            ("long_output", _) => text(&common.long_output),
            ("source", _) => text(&common.source),
            ("host", Outcome::CheckResult(check)) => text(&check.host),
            ("service", Outcome::CheckResult(check)) => Val::optional(check.service.as_deref()),
            ("perfdata", Outcome::CheckResult(check)) => text(&check.perfdata),
            ("host" | "component", Outcome::Event(event)) => text(&event.component),
            ("service" | "resource", Outcome::Event(event)) => Val::optional(event.resource.as_deref()),
            _ => Val::Undefined,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::result::Event;
    use crate::outcome::result::Labels;
    use crate::sinks::http::escape::{in_json, percent};
    use crate::sinks::testing;

    fn record(output: &str) -> Record<'_> {
        testing::record("h", None, output)
    }

    fn template(source: &str, escape: Escape) -> Template {
        let parsed = Template::new(source, escape);
        parsed.value.unwrap_or_else(|| panic!("{source}: {:?}", parsed.faults))
    }

    fn json(source: &str, output: &str) -> String {
        template(source, in_json).render(&record(output)).unwrap()
    }

    #[test]
    fn templates_work_on_values_as_they_are() {
        assert_eq!(json("{{ outcome.output|length }}", "a\"b"), "3");
        assert_eq!(json("{{ outcome.output == 'a\"b' }}", "a\"b"), "True");
        assert_eq!(json("{{ outcome.output[:2] }}", "a\"b"), "a\\\"");
        assert_eq!(json("{{ outcome.output|upper }}", "a\tb"), "A\\tB");
        assert_eq!(json("{% set x = outcome.output %}{{ x|safe }}", "\""), "\\\"");
        assert_eq!(
            json(
                "a{{ outcome['own'] }}{% for c in outcome.output %}{{ loop.index }}{{ c }}{% endfor %}",
                "x"
            ),
            "a1x"
        );
        assert_eq!(json("{{ outcome.service or 'host' }}", ""), "host");
        let path = template("/h/{{ outcome.output }}", percent);
        assert_eq!(path.render(&record("a/b ü")).unwrap(), "/h/a%2Fb%20%C3%BC");
        let event = Event {
            common: record("").outcome.common().clone(),
            component: "c".into(),
            resource: None,
            fields: vec![("tags".into(), "core".into()), ("host".into(), "forged".into())],
        };
        let event = Record { epoch: 1, sequence: 2, outcome: Outcome::Event(event) };
        let fields = template("{{ outcome.host }} {{ outcome['tags'] }}", str::to_owned);
        assert_eq!(fields.render(&event).unwrap(), "c core");
        let all =
            template("{% for name in outcome %}{{ name }}={{ outcome[name] }};{% endfor %}", str::to_owned);
        let all = all.render(&event).unwrap();
        assert!(
            all.starts_with("component=c;host=c;id=0000000000000001-2;kind=event;labels={};long_output=;"),
            "{all}"
        );
        assert!(all.contains(";tags=core;time=2023-11-14T22:13:20"), "{all}");
    }

    #[test]
    fn labels_are_fields_too() {
        let mut record = record("o");
        record.outcome.common_mut().labels =
            Labels::Own(vec![("category".into(), "power".into()), ("team".into(), "a\"b".into())]);
        let render = |source: &str| template(source, in_json).render(&record).unwrap();
        assert_eq!(render("{{ outcome.labels.team }} {{ outcome.labels['category'] }}"), "a\\\"b power");
        assert_eq!(
            render("{{ outcome.labels.none or 'nobody' }}{{ outcome.labels.team|upper }}"),
            "nobodyA\\\"B"
        );
        assert_eq!(
            render("{% for name in outcome.labels %}{{ name }}={{ outcome.labels[name] }};{% endfor %}"),
            "category=power;team=a\\\"b;"
        );
        let takes = |source: &str| Filter::new(source).value.unwrap().takes(&record);
        assert!(takes("outcome.labels.category == 'power'") && takes("'team' in outcome.labels"));
        assert!(!takes("outcome.labels.team == 'net'") && !takes("outcome.labels.none"));
    }

    #[test]
    fn tables_are_looked_into_as_they_are() {
        use crate::lookup::load::parse;
        use crate::lookup::rows::tests::definition;
        use crate::lookup::settings::Definition;
        use crate::lookup::tables::{Known, Tables};
        let of = Definition { name: "site".into(), ..definition("csv = \"f\"\nkey = \"key\"") };
        let of = Arc::new(of);
        let looks = Looks::new(std::slice::from_ref(&of));
        let source = "{{ lookup('site', outcome.host).city or 'nowhere' }}";
        let plain = Template::with(source, in_json, false, &looks).value.unwrap();
        let source = "{% set row = lookup('site', outcome.host) %}{{ row.city }}{{ row.city|length }}";
        let engine = Template::with(source, in_json, false, &looks).value.unwrap();
        let only = Filter::with("lookup('site', outcome.host).city == 'W\\\"'", &looks).value.unwrap();
        let all = |record: &Record<'_>| {
            (plain.render(record).unwrap(), engine.render(record).unwrap(), only.takes(record))
        };
        assert_eq!(all(&record("x")), ("nowhere".into(), "0".into(), false), "nothing was read yet");
        let table = |text: &str| {
            let table = Arc::new(parse(&of, "f", text.as_bytes()).0.unwrap());
            Arc::new(Tables::new(vec![Known::new(of.clone(), Some(table))]))
        };
        // Values of tables are escaped as others are.
        looks.set(&table("key,city\nh,\"W\"\"\"\n"));
        assert_eq!(all(&record("x")), ("W\\\"".into(), "W\\\"2".into(), true));
        let lookers = crate::rules::looks::Lookers::default();
        lookers.add(&looks);
        lookers.tell(&table("key,town\nh,Linz\n"));
        assert_eq!(all(&record("x")), ("nowhere".into(), "0".into(), false));
        assert_eq!(looks.missing(&looks.tables()), [("site".into(), "city".into())]);
        for (wrong, hint) in [
            ("{{ lookup('sites', outcome.host).city }}", "did you mean 'site'?"),
            ("{{ lookup(outcome.host).city }}", "write lookup('site', host).city"),
        ] {
            let parsed = Template::with(wrong, in_json, false, &looks);
            assert_eq!(parsed.faults[0].hint.as_deref(), Some(hint), "{wrong}");
            assert!(parsed.value.is_none());
        }
        let none = Template::new("{{ lookup('site', outcome.host).city }}", in_json);
        assert_eq!(none.faults[0].hint.as_deref(), Some("the configuration has no [[lookups]]"));
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_place() {
        let wrong = |source| {
            let parsed = Template::new(source, str::to_owned);
            assert!(parsed.value.is_none(), "{source}");
            parsed.faults[0].clone()
        };
        assert_eq!(wrong("{{ outcome.hots }}").hint.unwrap(), "did you mean 'host'?");
        assert_eq!(wrong("a {{ x }}").within, 5..6);
        assert_eq!(wrong("{{ outcome.host|uper }}").message, "unknown filter 'uper'");
        assert_eq!(wrong("{{ 1 if outcome.host is lowre }}").message, "unknown test 'lowre'");
        assert!(wrong("{{ outcome.host.upper() }}").message.starts_with("values have no methods"));
        assert!(Filter::new("outcome.stat == 'ok'").value.is_none());
        let doubtful = Filter::new("outcome.state > 1");
        assert!(doubtful.value.is_some() && doubtful.faults.len() == 1);
    }

    #[test]
    fn what_cannot_be_computed_is_said_and_loses_nothing() {
        let body = template("{{ outcome.output|int }}", str::to_owned);
        assert!(!body.render(&record("x")).unwrap_err().as_str().is_empty());
        assert_eq!(body.render(&record("7")).unwrap(), "7");
        let only = Filter::new("outcome.output|int > 5").value.unwrap();
        let takes = ["4", "6", "x"].map(|output| only.takes(&record(output)));
        assert_eq!(takes, [false, true, true]);
    }

    /// The filters that make text of text; others fail, which is the same for all values.
    const FILTERS: [&str; 19] = [
        "upper",
        "lower",
        "title",
        "capitalize",
        "trim",
        "reverse",
        "escape",
        "e",
        "safe",
        "string",
        "list",
        "first",
        "last",
        "join",
        "replace('\\\\', '')",
        "replace('\"', '\\\"')",
        "replace('a', outcome.output)",
        "split('a')|last",
        "default('x')",
    ];

    proptest! {
        #[test]
        fn no_filter_lets_a_value_leave_its_place(
            text in "(\\PC|[\\x00-\\x1f\"\\\\{}a ]){0,12}",
            filters in prop::collection::vec(prop::sample::select(&FILTERS[..]), 0..4),
            slice in prop::option::of((0..6_usize, 0..6_usize)),
        ) {
            let slice = slice.map_or(String::new(), |(from, to)| format!("[{from}:{to}]"));
            let chain: String = filters.iter().map(|filter| format!("|{filter}")).collect();
            let source = format!("{{\"sev\":\"{{{{ outcome.state }}}}\",\"text\":\"{{{{ outcome.output{slice}{chain} }}}}\"}}");
            let body = template(&source, in_json);
            if let Ok(body) = body.render(&record(&text)) {
                let read: serde_json::Value = serde_json::from_str(&body).unwrap();
                prop_assert_eq!(read.as_object().unwrap().len(), 2, "{}", body);
                prop_assert_eq!(&read["sev"], "critical");
            }
            let path = template(&format!("/a/{{{{ outcome.output{slice}{chain} }}}}/b"), percent);
            if let Ok(path) = path.render(&record(&text)) {
                prop_assert_eq!(path.split('/').count(), 4, "{}", path);
                prop_assert!(path.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b)), "{}", path);
            }
        }
    }
}
