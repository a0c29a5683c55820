//! Compiles the templates of a rule: what it makes of a message.

use crate::language::jinja::Environment;
use crate::language::template::{Compiler, Expression, Fault, Template};
use crate::language::value::Val;
use crate::outcome::json::FIELDS;
use crate::outcome::result::State;
use crate::rules::rule::{CheckTemplate, EventTemplate, StateTemplate};
use crate::rules::schema::{CheckText, EventText};
use crate::rules::scope::{Messages, Scope};
use crate::rules::variable::Variable;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, SourceText, nearest};
use crate::settings::section::Located;

/// The state that a word is near to, or the beginning of.
fn near_state<'s>(word: &str, states: &[&'s str]) -> Option<&'s str> {
    let begins = |state: &&&str| word.len() > 1 && state.starts_with(&word.to_lowercase());
    nearest(word, states.iter().copied()).or_else(|| states.iter().find(begins).copied())
}

/// The templates of one rule.
pub(super) struct Templates<'c, 'f> {
    source: &'c SourceText<'c>,
    scope: &'c Scope<'c>,
    compiler: Compiler<'c, Scope<'c>>,
    found: &'f mut Diagnostics,
}

impl<'c, 'f> Templates<'c, 'f> {
    pub(super) fn new(
        source: &'c SourceText<'c>,
        scope: &'c Scope<'c>,
        environment: &'c mut Environment,
        found: &'f mut Diagnostics,
    ) -> Self {
        Templates { source, scope, compiler: Compiler::new(scope, environment), found }
    }

    /// The expression of `where`; none if it has an error.
    pub(super) fn condition(&mut self, text: &Located<String>) -> Option<Expression<Variable>> {
        let expression = self.compiler.expression(&text.value);
        self.report(text);
        expression
    }

    /// `[rule.check]`; none if it has an error.
    pub(super) fn check(&mut self, text: &CheckText) -> Option<CheckTemplate> {
        let state = self.state(&text.state, text.service.is_none());
        let host = self.name("host", text.host.as_ref(), "leave it out for {{ host }}");
        let service = self.name("service", text.service.as_ref(), "leave it out for a result of the host");
        let output = self.optional(text.output.as_ref());
        let long_output = self.optional(text.long_output.as_ref());
        let perfdata = self.optional(text.perfdata.as_ref());
        Some(CheckTemplate {
            host: self.or_default(host, "{{ host }}")?,
            service: service?,
            state: state?,
            output: self.output(output)?,
            long_output: long_output?,
            perfdata: perfdata?,
        })
    }

    /// `[rule.event]`; none if it has an error.
    pub(super) fn event(&mut self, text: &EventText) -> Option<EventTemplate> {
        let state = self.state(&text.state, false);
        let component = self.name("component", text.component.as_ref(), "leave it out for {{ host }}");
        let resource =
            self.name("resource", text.resource.as_ref(), "leave it out for an event of the component");
        let output = self.optional(text.output.as_ref());
        let long_output = self.optional(text.long_output.as_ref());
        let fields: Vec<_> = text.fields.iter().map(|(name, template)| self.field(name, template)).collect();
        Some(EventTemplate {
            component: self.or_default(component, "{{ host }}")?,
            resource: resource?,
            state: state?,
            output: self.output(output)?,
            long_output: long_output?,
            fields: fields.into_iter().collect::<Option<_>>()?,
        })
    }

    /// The labels; none if one has an error.
    pub(super) fn labels(
        &mut self,
        labels: &[(Located<String>, Located<String>)],
    ) -> Option<Vec<(String, Template<Variable>)>> {
        let compiled = labels.iter().map(|(name, text)| Some((name.value.clone(), self.template(text)?)));
        // All of them, so that all mistakes show.
        compiled.collect::<Vec<_>>().into_iter().collect()
    }

    fn field(
        &mut self,
        name: &Located<String>,
        template: &Located<String>,
    ) -> Option<(String, Template<Variable>)> {
        if FIELDS.contains(&name.as_str()) {
            let message = format!("an event cannot have a field '{}' of its own", name.value);
            let hint = format!("use another name; every outcome has the fields {}", FIELDS.join(", "));
            self.found.push(self.source.error(&name.span, message, Some(hint)));
            return None;
        }
        Some((name.value.clone(), self.template(template)?))
    }

    fn template(&mut self, text: &Located<String>) -> Option<Template<Variable>> {
        let template = self.compiler.template(&text.value);
        self.report(text);
        template
    }

    /// An optional template: none if it has an error, `Some(None)` if it is left out.
    #[allow(clippy::option_option)]
    fn optional(&mut self, text: Option<&Located<String>>) -> Option<Option<Template<Variable>>> {
        match text {
            Some(text) => self.template(text).map(Some),
            None => Some(None),
        }
    }

    /// An optional template of a name, which must not be empty.
    #[allow(clippy::option_option)]
    pub(super) fn name(
        &mut self,
        key: &str,
        text: Option<&Located<String>>,
        hint: &str,
    ) -> Option<Option<Template<Variable>>> {
        if let Some(text) = text.filter(|text| text.value.trim().is_empty()) {
            self.found.push(self.source.error(
                &text.span,
                format!("'{key}' is empty"),
                Some(hint.to_owned()),
            ));
            return None;
        }
        self.optional(text)
    }

    #[allow(clippy::option_option)]
    fn output(&mut self, given: Option<Option<Template<Variable>>>) -> Option<Template<Variable>> {
        let default = match self.scope.kind {
            Messages::Notifications => "{{ trap }} {{ text }}",
            Messages::Lines => "{{ message }}",
            Messages::CheckIns => "{{ info }}",
            Messages::Events => "{{ text }}",
        };
        self.or_default(given, default)
    }

    #[allow(clippy::option_option)]
    fn or_default(
        &mut self,
        given: Option<Option<Template<Variable>>>,
        default: &str,
    ) -> Option<Template<Variable>> {
        match given? {
            Some(given) => Some(given),
            None => self.compiler.template(default),
        }
    }

    fn state(&mut self, text: &Located<String>, of_host: bool) -> Option<StateTemplate> {
        let parse = if of_host { State::host } else { State::service };
        if let Some(state) = parse(text) {
            return Some(StateTemplate::Fixed(state));
        }
        let words = State::ALL.map(State::as_str);
        let (expected, other) = if of_host { (&words[4..], &words[..4]) } else { (&words[..4], &words[4..]) };
        let wrong = |word: &str| {
            let kind = if of_host { "a host (the check has no 'service')" } else { "a service" };
            let near = near_state(word, expected).map(|best| format!("did you mean '{best}'?"));
            let hint = near.unwrap_or_else(|| format!("states: {}", expected.join(", ")));
            (format!("'{word}' is not a state of {kind}"), hint)
        };
        let is_word = text.value.chars().all(|c| c.is_ascii_alphanumeric());
        if is_word {
            let swapped = other.contains(&text.value.to_lowercase().as_str());
            let (message, hint) = wrong(text);
            if swapped || hint.starts_with("did you mean") {
                let diagnostic: Diagnostic = self.source.error(&text.span, message, Some(hint));
                self.found.push(diagnostic);
                return None;
            }
        }
        let expression = self.compiler.expression_of(&text.value, |value| {
            let word = value.borrowed().into_word();
            // No value is documented to give unknown.
            if *value == Val::Undefined || parse(&word).is_some() { Ok(()) } else { Err(wrong(&word)) }
        });
        // A state is a text: without quotes it is taken for a variable.
        for fault in &mut self.compiler.faults {
            let name =
                fault.message.strip_prefix("unknown variable '").and_then(|rest| rest.strip_suffix('\''));
            if let Some(best) = name.and_then(|name| near_state(name, expected)) {
                fault.hint = Some(format!("write a state in quotes: '{best}'"));
            }
        }
        self.report(text);
        expression.map(StateTemplate::Expression)
    }

    /// Reports what the compiler found in a text.
    fn report(&mut self, text: &Located<String>) {
        for Fault { severity, within, message, hint } in self.compiler.faults.drain(..) {
            let span = text.span_of(self.source, within);
            self.found.push(Diagnostic { severity, ..self.source.error(&span, message, hint) });
        }
    }
}
