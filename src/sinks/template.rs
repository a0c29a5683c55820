//! Expressions and templates over one outcome, as the configuration of a sink has them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use minijinja::machinery::ast::Expr;
use minijinja::machinery::{parse, parse_expr};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior};

use crate::language::syntax;
use crate::outcome::json::{self, FIELDS};
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::settings::diagnostic::did_you_mean;

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

/// A template over `outcome`.
#[derive(Debug, Clone)]
pub struct OutcomeTemplate {
    environment: Arc<Environment<'static>>,
}

const NAME: &str = "outcome";

impl OutcomeTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        let parsed = parse(source, NAME, SyntaxConfig::default()).map_err(|e| wrong(&e))?;
        known_names(source, &syntax::expressions(&parsed))?;
        Self::compiled(source.to_owned())
    }

    /// Compiles an expression, to a template that renders something if it is true.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn condition(source: &str) -> Result<Self, TemplateError> {
        let parsed = parse_expr(source).map_err(|e| wrong(&e))?;
        known_names(source, &[&parsed])?;
        Self::compiled(format!("{{% if ({source}) %}}1{{% endif %}}"))
    }

    fn compiled(source: String) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.add_template_owned(NAME, source).map_err(|e| wrong(&e))?;
        Ok(OutcomeTemplate { environment: Arc::new(environment) })
    }

    /// The text for a record; `escape` is applied to every field.
    pub fn render(&self, record: &Record<'_>, escape: fn(&str) -> String) -> String {
        let fields = fields(record, escape);
        let context = Value::from(BTreeMap::from([("outcome".to_owned(), Value::from(fields))]));
        let rendered = self.environment.get_template(NAME).and_then(|template| template.render(context));
        rendered.unwrap_or_else(|error| {
            tracing::error!(%error, "a sink's template cannot be rendered");
            String::new()
        })
    }
}

fn wrong(error: &minijinja::Error) -> TemplateError {
    TemplateError {
        within: error.range().unwrap_or(0..0),
        message: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
        hint: None,
    }
}

fn known_names(source: &str, exprs: &[&Expr<'_>]) -> Result<(), TemplateError> {
    for found in syntax::variables(exprs) {
        let (name, known): (&str, &[&str]) = match found {
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

fn fields(record: &Record<'_>, escape: fn(&str) -> String) -> BTreeMap<String, Value> {
    let common = record.outcome.common();
    let text = |t: &str| Value::from(escape(t));
    let optional = |t: Option<&str>| t.map_or(Value::from(()), text);
    let mut fields = BTreeMap::from([
        ("id".to_owned(), Value::from(record.id())),
        ("time".to_owned(), Value::from(crate::time::clock::rfc3339(common.time))),
        ("kind".to_owned(), Value::from(record.outcome.kind())),
        ("rule".to_owned(), text(&common.rule)),
        ("state".to_owned(), Value::from(common.state.as_str())),
        ("output".to_owned(), text(&common.output)),
        ("long_output".to_owned(), text(&common.long_output)),
        ("source".to_owned(), text(&common.source)),
    ]);
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    match &record.outcome {
        Outcome::CheckResult(check) => {
            add("host", text(&check.host));
            add("service", optional(check.service.as_deref()));
            add("perfdata", text(&check.perfdata));
        }
        Outcome::Event(event) => {
            for name in ["host", "component"] {
                add(name, text(&event.component));
            }
            for name in ["service", "resource"] {
                add(name, optional(event.resource.as_deref()));
            }
            for (name, value) in json::own_fields(event) {
                add(name, text(value));
            }
        }
    }
    fields
}
