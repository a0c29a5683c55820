//! Expressions and templates over one outcome, as the configuration of a sink has them.
//!
//! A template works on the outcome's fields as they are. What it writes is escaped for the place where it stands, value by
//! value and last of all, so that no filter can undo the escaping.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minijinja::machinery::ast::{Expr, Stmt};
use minijinja::machinery::{Span, parse, parse_expr};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, UndefinedBehavior};

use crate::language::functions::As;
use crate::language::syntax::{self, Callee};
use crate::outcome::json::{self, FIELDS};
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::settings::diagnostic::did_you_mean;
use crate::sinks::sink::Said;

/// Why a source is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Where in the source.
    pub within: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// How a value is written at its place.
pub type Escape = fn(&str) -> String;

/// A template over `outcome`.
#[derive(Debug, Clone)]
pub struct Template {
    environment: Arc<Environment<'static>>,
}

const NAME: &str = "outcome";

impl Template {
    /// Compiles a template; `escape` is applied to every value that it writes.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn new(source: &str, escape: Escape) -> Result<Self, TemplateError> {
        let parsed = parse(source, NAME, SyntaxConfig::default()).map_err(|e| wrong(&e))?;
        no_captures(&parsed)?;
        let expressions = syntax::expressions(&parsed);
        known_names(source, &expressions, &syntax::assigned(&parsed))?;
        let template = Self::compiled(source.to_owned(), escape)?;
        template.known_calls(&expressions)?;
        Ok(template)
    }

    fn compiled(source: String, escape: Escape) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_formatter(move |out, _state, value| match value.kind() {
            ValueKind::Undefined => Ok(()),
            _ => Ok(out.write_str(&escape(&value.to_string()))?),
        });
        environment.add_template_owned(NAME, source).map_err(|e| wrong(&e))?;
        Ok(Template { environment: Arc::new(environment) })
    }

    /// Refuses filters and tests that the engine does not have, and methods, of which values have none.
    fn known_calls(&self, exprs: &[&Expr<'_>]) -> Result<(), TemplateError> {
        for call in syntax::calls(exprs) {
            let (question, name) = match call.what {
                Callee::Named(As::Filter, name) => ("{{ 1 if outcome is filter }}", name),
                Callee::Named(As::Test, name) => ("{{ 1 if outcome is test }}", name),
                Callee::Method(name) => ("", name),
                Callee::Function(_) | Callee::Value => continue,
            };
            let asked = BTreeMap::from([(NAME, name.to_owned())]);
            if !self.environment.render_str(question, asked).is_ok_and(|answer| answer == "1") {
                let what = match call.what {
                    Callee::Named(As::Filter, _) => "filter",
                    Callee::Named(As::Test, _) => "test",
                    _ => "method",
                };
                return Err(TemplateError {
                    within: call.within,
                    message: format!("there is no {what} '{name}'"),
                    hint: Some("the language is minijinja's, which is Jinja2's".to_owned()),
                });
            }
        }
        Ok(())
    }

    /// The text for a record.
    ///
    /// # Errors
    ///
    /// Why it cannot be computed.
    pub fn render(&self, record: &Record<'_>) -> Result<String, Said> {
        let context = Value::from(BTreeMap::from([("outcome".to_owned(), Value::from(fields(record)))]));
        let rendered = self.environment.get_template(NAME).and_then(|template| template.render(context));
        rendered.map_err(|error| Said::new(&error.to_string()))
    }
}

/// `only`: a condition over `outcome`.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Writes something if the condition holds.
    template: Template,
    failures: Arc<AtomicU64>,
}

impl Filter {
    /// Compiles an expression such as `outcome.state != 'ok'`.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        let parsed = parse_expr(source).map_err(|e| wrong(&e))?;
        known_names(source, &[&parsed], &[])?;
        let template = Template::compiled(format!("{{% if ({source}) %}}1{{% endif %}}"), str::to_owned)?;
        template.known_calls(&[&parsed])?;
        Ok(Filter { template, failures: Arc::default() })
    }

    /// Whether the sink takes a record. It does if the condition cannot be computed: an outcome too many is better than one
    /// that is lost.
    pub fn takes(&self, record: &Record<'_>) -> bool {
        match self.template.render(record) {
            Ok(text) => !text.is_empty(),
            Err(error) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
                if failures.is_power_of_two() {
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

fn wrong(error: &minijinja::Error) -> TemplateError {
    TemplateError {
        within: error.range().unwrap_or(0..0),
        message: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
        hint: None,
    }
}

/// Refuses blocks whose output becomes a value: it would be escaped when it is captured and again when it is written.
fn no_captures(stmt: &Stmt<'_>) -> Result<(), TemplateError> {
    let refused = |what: &str, span: Span, hint: &str| {
        Err(TemplateError {
            within: syntax::range(span),
            message: format!("a template of a sink cannot have a {what} block"),
            hint: Some(hint.to_owned()),
        })
    };
    let all = |stmts: &[Stmt<'_>]| stmts.iter().try_for_each(no_captures);
    match stmt {
        Stmt::SetBlock(set) => refused("set", set.span(), "write {% set name = value %}"),
        Stmt::FilterBlock(block) => refused("filter", block.span(), "write {{ value|filter }}"),
        Stmt::Template(template) => all(&template.children),
        Stmt::ForLoop(each) => all(&each.body).and_then(|()| all(&each.else_body)),
        Stmt::IfCond(cond) => all(&cond.true_body).and_then(|()| all(&cond.false_body)),
        Stmt::WithBlock(with) => all(&with.body),
        Stmt::AutoEscape(escape) => all(&escape.body),
        Stmt::EmitExpr(_) | Stmt::EmitRaw(_) | Stmt::Set(_) | Stmt::Do(_) => Ok(()),
    }
}

/// Refuses names that are neither `outcome` with its fields nor set by the template itself.
fn known_names(source: &str, exprs: &[&Expr<'_>], own: &[&str]) -> Result<(), TemplateError> {
    for found in syntax::variables(exprs) {
        let (name, known): (&str, &[&str]) = match found {
            Expr::Var(var) if own.contains(&var.id) => continue,
            Expr::Var(var) => (var.id, &["outcome"]),
            Expr::GetAttr(get) if matches!(&get.expr, Expr::Var(var) if var.id == "outcome") => {
                (get.name, &FIELDS)
            }
            _ => continue,
        };
        if !known.contains(&name) {
            let within = syntax::range(found.span());
            let text = source.get(within.clone()).unwrap_or(name);
            return Err(TemplateError {
                message: format!("unknown name '{text}'"),
                hint: Some(did_you_mean(name, known.iter().copied()).unwrap_or_else(|| {
                    format!("known: {}; an event's own fields by outcome['name']", known.join(", "))
                })),
                within,
            });
        }
    }
    Ok(())
}

/// The fields of `outcome`, as they are.
fn fields(record: &Record<'_>) -> BTreeMap<String, Value> {
    let common = record.outcome.common();
    let optional = |text: Option<&str>| text.map_or(Value::from(()), Value::from);
    let mut fields = BTreeMap::from([
        ("id".to_owned(), Value::from(record.id())),
        ("time".to_owned(), Value::from(crate::time::clock::rfc3339(common.time))),
        ("kind".to_owned(), Value::from(record.outcome.kind())),
        ("rule".to_owned(), Value::from(&*common.rule)),
        ("state".to_owned(), Value::from(common.state.as_str())),
        ("output".to_owned(), Value::from(&*common.output)),
        ("long_output".to_owned(), Value::from(&*common.long_output)),
        ("source".to_owned(), Value::from(&*common.source)),
    ]);
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    match &record.outcome {
        Outcome::CheckResult(check) => {
            add("host", Value::from(&*check.host));
            add("service", optional(check.service.as_deref()));
            add("perfdata", Value::from(&*check.perfdata));
        }
        Outcome::Event(event) => {
            for name in ["host", "component"] {
                add(name, Value::from(&*event.component));
            }
            for name in ["service", "resource"] {
                add(name, optional(event.resource.as_deref()));
            }
            for (name, value) in json::own_fields(event) {
                add(name, Value::from(value));
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::result::Event;
    use crate::sinks::http::escape::{in_json, percent};
    use crate::sinks::testing;

    fn record(output: &str) -> Record<'_> {
        testing::record("h", None, output)
    }

    fn json(source: &str, output: &str) -> String {
        Template::new(source, in_json).unwrap().render(&record(output)).unwrap()
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
        let path = Template::new("/h/{{ outcome.output }}", percent).unwrap();
        assert_eq!(path.render(&record("a/b ü")).unwrap(), "/h/a%2Fb%20%C3%BC");
        let event = Event {
            common: record("").outcome.common().clone(),
            component: "c".into(),
            resource: None,
            fields: vec![("tags".into(), "core".into()), ("host".into(), "forged".into())],
        };
        let event = Record { epoch: 1, sequence: 2, outcome: Outcome::Event(event) };
        let fields = Template::new("{{ outcome.host }} {{ outcome['tags'] }}", str::to_owned).unwrap();
        assert_eq!(fields.render(&event).unwrap(), "c core");
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_place() {
        let wrong = |source| Template::new(source, str::to_owned).unwrap_err();
        assert_eq!(wrong("{{ outcome.hots }}").hint.unwrap(), "did you mean 'host'?");
        assert_eq!(wrong("a {{ x }}").within, 5..6);
        assert_eq!(wrong("{{ outcome.host|uper }}").message, "there is no filter 'uper'");
        assert_eq!(wrong("{{ 1 if outcome.host is lowre }}").message, "there is no test 'lowre'");
        assert_eq!(wrong("{{ outcome.host.upper() }}").message, "there is no method 'upper'");
        assert!(wrong("{% set x %}a{% endset %}").message.contains("set block"));
        assert!(
            wrong("{% if true %}{% filter upper %}a{% endfilter %}{% endif %}")
                .message
                .contains("filter block")
        );
        assert!(Filter::new("outcome.stat == 'ok'").is_err());
    }

    #[test]
    fn what_cannot_be_computed_is_said_and_loses_nothing() {
        let body = Template::new("{{ outcome.output|int }}", str::to_owned).unwrap();
        assert!(!body.render(&record("x")).unwrap_err().as_str().is_empty());
        assert_eq!(body.render(&record("7")).unwrap(), "7");
        let only = Filter::new("outcome.output|int > 5").unwrap();
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
            let template = Template::new(&source, in_json).unwrap();
            if let Ok(body) = template.render(&record(&text)) {
                let read: serde_json::Value = serde_json::from_str(&body).unwrap();
                prop_assert_eq!(read.as_object().unwrap().len(), 2, "{}", body);
                prop_assert_eq!(&read["sev"], "critical");
            }
            let path = Template::new(&format!("/a/{{{{ outcome.output{slice}{chain} }}}}/b"), percent).unwrap();
            if let Ok(path) = path.render(&record(&text)) {
                prop_assert_eq!(path.split('/').count(), 4, "{}", path);
                prop_assert!(path.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b)), "{}", path);
            }
        }
    }
}
