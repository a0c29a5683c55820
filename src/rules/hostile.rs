//! Tries the patterns, conditions and templates of rules on texts that a hostile sender could choose, to find those that are
//! over [budget].

use std::collections::BTreeSet;

use minijinja::Value;

use crate::language::budget;
use crate::language::jinja::RenderError;
use crate::language::names::Values;
use crate::language::template::{Expression, Template};
use crate::language::value::Val;
use crate::rules::compile::{FieldPlace, RuleField};
use crate::rules::matching::Matcher;
use crate::rules::rule::{Rule, RuleSet, StateTemplate};
use crate::rules::variable::Variable;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity, SourceText};

/// What hostile texts are made of, beside the characters of the field itself.
const PIECES: [&str; 10] = ["a", "<", "(", "\"", "0", "é", "a ", "a=1;", "<a>", "a\n"];
/// The most characters of a field that texts are made of.
const MOST_CHARACTERS: usize = 24;
/// A number that makes ranges and repetitions large.
const NUMBER: i128 = 4_294_967_295;
/// The entries of hostile tables.
const ENTRIES: usize = 500;

/// A message whose every variable has the same value.
#[derive(Debug)]
enum Hostile {
    Text(String),
    Number,
}

impl<'m> Values<'m, Variable> for Hostile {
    fn get(&self, _: &'m Variable) -> Val<'m> {
        match self {
            Hostile::Text(text) => Val::Str(text.clone().into()),
            Hostile::Number => Val::Int(NUMBER),
        }
    }

    fn table(&self, _: &str) -> Value {
        let entry = match self {
            Hostile::Text(text) => Value::from(&text[..text.floor_char_boundary(text.len() / ENTRIES)]),
            Hostile::Number => Value::from(NUMBER),
        };
        Value::from(vec![entry; ENTRIES])
    }
}

/// Warns of the patterns, conditions and templates that are over budget for some text of [`RuleSet::max_message`] bytes.
pub fn check(rules: &RuleSet, places: &[FieldPlace]) -> Diagnostics {
    let mut found = Diagnostics::default();
    for place in places {
        let Some(rule) = rules.rules().get(place.rule) else { continue };
        let source = SourceText { file: &place.file.name, text: &place.file.text };
        if !needs_a_try(rule, &place.field) {
            continue;
        }
        let written = place.file.text.get(place.span.clone()).unwrap_or_default();
        if let Some(shape) =
            shapes(written, rules.max_message).iter().find(|text| is_over(rules, rule, &place.field, text))
        {
            let what = match shape {
                Hostile::Text(text) => {
                    let start: String = text.chars().take(8).collect();
                    format!("of {} bytes such as \"{}...\"", text.len(), start.escape_debug())
                }
                Hostile::Number => format!("with the number {NUMBER}"),
            };
            let message = format!(
                "'{}' of rule '{}' is over budget for a message {what}: {}",
                place.field,
                rule.id,
                consequence(&place.field)
            );
            let hint = "use a simpler pattern or fewer nested loops, or lower [rules] max_message".to_owned();
            let error = source.error(&place.span, message, Some(hint));
            found.push(Diagnostic { severity: Severity::Warning, ..error });
        }
    }
    found
}

fn consequence(field: &RuleField) -> &'static str {
    match field {
        RuleField::Where | RuleField::Message => "the rule does not match such a message",
        RuleField::Check(_) | RuleField::Event(_) | RuleField::Label(_) => {
            "the field is not rendered for such a message"
        }
    }
}

/// Texts of so many bytes: of the pieces above and of the characters of the field.
fn shapes(written: &str, length: usize) -> Vec<Hostile> {
    // Letters come first: a pattern that explodes mostly repeats one.
    let mut own: Vec<char> = written.chars().filter(|c| !c.is_control()).collect();
    own.sort_unstable_by_key(|c| (!c.is_alphabetic(), *c));
    own.dedup();
    let own = own.into_iter().take(MOST_CHARACTERS).map(String::from);
    let pieces: BTreeSet<String> = PIECES.iter().map(|piece| (*piece).to_owned()).chain(own).collect();
    let texts = pieces.iter().map(|piece| Hostile::Text(piece.repeat(length / piece.len())));
    texts.chain([Hostile::Number]).collect()
}

/// Whether more than time that is linear in the length of the message is possible.
fn needs_a_try(rule: &Rule, field: &RuleField) -> bool {
    match field {
        RuleField::Where => rule.where_.as_ref().is_some_and(|(_, condition)| !condition.is_linear()),
        RuleField::Message => true,
        RuleField::Check(_) | RuleField::Event(_) | RuleField::Label(_) => {
            template(rule, field).is_some_and(|template| !template.is_linear())
                || state(rule, field).is_some_and(|state| !state.is_linear())
        }
    }
}

fn is_over(rules: &RuleSet, rule: &Rule, field: &RuleField, values: &Hostile) -> bool {
    let over = |error: Option<RenderError>| error == Some(RenderError::OverBudget);
    let environment = &rules.environment;
    match (field, &rule.matcher, values) {
        (RuleField::Where, ..) => {
            rule.where_.as_ref().is_some_and(|(_, condition)| over(condition.eval(environment, values).err()))
        }
        (RuleField::Message, Matcher::Syslog(pattern), Hostile::Text(text)) => {
            pattern.message.as_ref().is_some_and(|pattern| budget::field(|| pattern.tried(text)).1)
        }
        (RuleField::Message, ..) => false,
        (RuleField::Check(_) | RuleField::Event(_) | RuleField::Label(_), ..) => {
            template(rule, field).is_some_and(|template| over(template.render(environment, values).err()))
                || state(rule, field).is_some_and(|state| over(state.eval(environment, values).err()))
        }
    }
}

/// The template of a field.
fn template<'r>(rule: &'r Rule, field: &RuleField) -> Option<&'r Template<Variable>> {
    match field {
        RuleField::Check(name) => {
            let check = rule.check.as_ref()?;
            match name.as_str() {
                "host" => Some(&check.host),
                "service" => check.service.as_ref(),
                "output" => Some(&check.output),
                "long_output" => check.long_output.as_ref(),
                "perfdata" => check.perfdata.as_ref(),
                _ => None,
            }
        }
        RuleField::Event(name) => {
            let event = rule.event.as_ref()?;
            match name.as_str() {
                "component" => Some(&event.component),
                "resource" => event.resource.as_ref(),
                "output" => Some(&event.output),
                "long_output" => event.long_output.as_ref(),
                name => event.fields.iter().find(|(own, _)| own == name).map(|(_, template)| template),
            }
        }
        RuleField::Label(name) => {
            rule.labels.iter().find(|(own, _)| own == name).map(|(_, template)| template)
        }
        RuleField::Where | RuleField::Message => None,
    }
}

/// The expression of a state.
fn state<'r>(rule: &'r Rule, field: &RuleField) -> Option<&'r Expression<Variable>> {
    let state = match field {
        RuleField::Check(name) if name == "state" => &rule.check.as_ref()?.state,
        RuleField::Event(name) if name == "state" => &rule.event.as_ref()?.state,
        _ => return None,
    };
    match state {
        StateTemplate::Expression(expression) => Some(expression),
        StateTemplate::Fixed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rules::compile::{RuleFile, compile};
    use crate::rules::shipped;
    use crate::rules::tests::mib;

    fn found(files: &[RuleFile]) -> String {
        let compiled = compile(files, mib());
        let text = compiled.found.to_text();
        let rules = compiled.rules.unwrap_or_else(|| panic!("{text}"));
        check(&rules, &compiled.places).to_text()
    }

    #[test]
    fn what_is_over_budget_is_found_with_its_place() {
        let rule = r#"
[[rule]]
id = "slow"
syslog = { message = '(a{1,90}){1,90}b' }
where = "message is matching('x') or program is matching('(o{1,90}){1,90}k')"
[rule.check]
service = "{% for a in message %}{% for b in message %}{{ b }}{% endfor %}{% endfor %}"
state = "'ok' if pid|regex_replace('<[^>]*>|<', '') else 'warning'"
output = "{{ message|replace('a', message) }}"
long_output = "{{ message|upper|trim }} {{ message|replace('a', 'b') }} {{ message|split(' ')|first }}"
"#;
        let text = found(&[RuleFile { name: "r.toml".into(), text: Arc::from(rule) }]);
        let places: Vec<&str> = text.lines().filter_map(|line| line.split(" of rule").next()).collect();
        assert_eq!(
            places,
            [
                "r.toml:4:22: warning: 'message'",
                "r.toml:5:9: warning: 'where'",
                "r.toml:7:11: warning: 'service'",
                "r.toml:8:9: warning: 'state'",
                "r.toml:9:10: warning: 'output'",
            ],
            "{text}"
        );
    }

    #[test]
    fn the_shipped_rules_are_within_the_budget() {
        let files: Vec<RuleFile> = shipped::PACKS
            .iter()
            .map(|(name, text)| RuleFile { name: (*name).into(), text: (*text).into() })
            .collect();
        assert_eq!(found(&files), "");
    }
}
