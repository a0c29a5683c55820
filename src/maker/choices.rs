//! What people choose for a rule that is made from a message. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::import::observed::{Draft, Span};
use crate::language::syntax;
use crate::message::Notification;
use crate::mib::{Kind, Mib};
use crate::outcome::result::State;
use crate::settings::section::quoted;

/// The most parts of a message that can be chosen.
const MOST: usize = 64;
/// The longest id, in bytes.
const LONGEST_ID: usize = 200;

/// What is chosen. What is not stays as it is proposed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choices {
    /// The number of the group.
    pub group: u64,
    /// Which of its messages, from 0, the oldest first. Default: the newest.
    #[serde(default)]
    pub sample: Option<usize>,
    /// Also the rules for the notifications that end its trouble, or begin it.
    #[serde(default)]
    pub with_pair: bool,
    /// The test has addresses for documentation in the place of those of the message.
    #[serde(default)]
    pub example_addresses: bool,
    /// The id of the rule.
    #[serde(default)]
    pub id: Option<String>,
    /// The state.
    #[serde(default)]
    pub state: Option<String>,
    /// The messages need no outcome: the rule drops them.
    #[serde(default)]
    pub drop: bool,
    /// What varbinds are for.
    #[serde(default)]
    pub varbinds: Vec<Chosen>,
    /// Parts of the message of a line that become named groups.
    #[serde(default)]
    pub spans: Vec<ChosenSpan>,
}

/// A varbind that is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// Its place, from 1, as in `v[1]`.
    pub at: usize,
    /// What it is for.
    #[serde(rename = "use")]
    pub uses: Vec<Use>,
}

/// A part of a line that is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChosenSpan {
    /// Where it begins, in characters of the message.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(rename = "use", default)]
    pub uses: Vec<Use>,
}

/// What a value is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// It is in the output.
    Output,
    /// It tells services apart.
    Service,
    /// The rule takes only messages with this value.
    Condition,
}

/// What is chosen cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// A state that there is not.
    #[error("'{0}' is no state; write ok, warning, critical or unknown")]
    State(String),
    /// An empty or a very long id.
    #[error("an id has 1 to 200 characters")]
    Id,
    /// A varbind that the message does not have.
    #[error("the message has no varbind {0}; it has {1}")]
    Varbind(usize, usize),
    /// Too many.
    #[error("more than {MOST} parts are chosen")]
    Many,
    /// A part that is not in the message, or overlaps another one.
    #[error("the parts must lie within the {0} characters of the message, in their order, and not overlap")]
    Span(usize),
    /// No name of a group.
    #[error("'{0}' is no name for a part; use letters, digits and _, and begin with a letter")]
    Name(String),
    /// Two parts of one name.
    #[error("two parts have the name '{0}'; give each its own")]
    Twice(String),
}

/// A varbind with the ways to write it in a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its place, from 1.
    at: usize,
    /// The name for people: that of its object, or its place.
    label: String,
    /// The expression, such as `v['IF-MIB::ifDescr']`.
    expression: String,
    /// Its value as a literal of the language.
    literal: String,
    /// As `trapline explain` shows it.
    shown: Value,
}

/// The varbinds of a notification; `shown` has them as [`describe`](crate::intake::describe) gives them.
pub fn varbinds(notification: &Notification<'_>, shown: &Value, mib: &Mib) -> Vec<Known> {
    let object = |at: usize| {
        let varbind = &notification.varbinds[at];
        mib.lookup(&varbind.oid).filter(|object| object.kind == Kind::Object)
    };
    let all: Vec<_> = (0..notification.varbinds.len()).map(object).collect();
    let known = |(at, varbind): (usize, &crate::message::Varbind<'_>)| {
        let shown = shown[at].clone();
        // Several instances of an object are told apart by their places only.
        let alone = all[at]
            .filter(|object| all.iter().flatten().filter(|other| other.oid == object.oid).count() == 1);
        let (label, expression) = match alone {
            Some(object) => (object.name.to_string(), format!("v[{}]", syntax::quoted(&object.qualified()))),
            None => (format!("value {}", at + 1), format!("v[{}]", at + 1)),
        };
        let text = shown["text"].as_str().unwrap_or_default();
        let literal = match varbind.value.as_integer() {
            Some(number) if text == number.to_string() => text.to_owned(),
            _ => syntax::quoted(text),
        };
        Known { at: at + 1, label, expression, literal, shown }
    };
    notification.varbinds.iter().enumerate().map(known).collect()
}

/// Varbinds with what they are chosen for.
pub fn to_json(all: &[Known], chosen: &[Chosen]) -> Value {
    all.iter()
        .map(|known| {
            let uses = chosen.iter().find(|chosen| chosen.at == known.at).map(|chosen| &chosen.uses);
            json!({
                "at": known.at, "label": known.label, "expression": known.expression, "literal": known.literal, "value": known.shown, "use": uses,
            })
        })
        .collect()
}

impl Choices {
    /// The parts of a line that are chosen.
    ///
    /// # Errors
    ///
    /// [`Mistake`].
    pub fn spans_in(&self, message: &str) -> Result<Vec<Span>, Mistake> {
        if self.spans.len() > MOST {
            return Err(Mistake::Many);
        }
        let mut offsets: Vec<usize> = message.char_indices().map(|(at, _)| at).collect();
        offsets.push(message.len());
        let mut spans: Vec<Span> = Vec::new();
        let mut before = 0;
        for ChosenSpan { start, end, name, .. } in &self.spans {
            if *start < before || end <= start || *end >= offsets.len() {
                return Err(Mistake::Span(offsets.len() - 1));
            }
            let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !word || !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.len() > 64 {
                return Err(Mistake::Name(name.chars().take(64).collect()));
            }
            if spans.iter().any(|span| span.name == *name) {
                return Err(Mistake::Twice(name.clone()));
            }
            before = *end;
            spans.push(Span { range: offsets[*start]..offsets[*end], name: name.clone() });
        }
        Ok(spans)
    }

    /// A proposed rule for a notification with what is chosen; `name` is the name of the notification.
    ///
    /// # Errors
    ///
    /// [`Mistake`].
    pub fn apply_to_notification(
        &self,
        mut draft: Draft,
        all: &[Known],
        name: &Value,
    ) -> Result<Draft, Mistake> {
        if self.varbinds.len() > MOST {
            return Err(Mistake::Many);
        }
        let find = |at: usize| all.iter().find(|known| known.at == at).ok_or(Mistake::Varbind(at, all.len()));
        let with = |wanted: Use| {
            let chosen = self.varbinds.iter().filter(|chosen| chosen.uses.contains(&wanted));
            chosen.map(|chosen| find(chosen.at)).collect::<Result<Vec<_>, _>>()
        };
        for chosen in &self.varbinds {
            find(chosen.at)?;
        }
        let (output, service, condition) = (with(Use::Output)?, with(Use::Service)?, with(Use::Condition)?);
        if !output.is_empty() {
            let values: Vec<String> = output
                .iter()
                .map(|known| format!("{} {{{{ {} }}}}", known.label, known.expression))
                .collect();
            let name = name.as_str().unwrap_or_default().rsplit("::").next().unwrap_or_default();
            set(&mut draft.rule, "output", &quoted(&format!("{name}: {}", values.join(", "))));
            without_reason(&mut draft.rule, "Output");
        }
        put_into_service(&mut draft.rule, service.iter().map(|known| known.expression.as_str()));
        if !condition.is_empty() {
            let all: Vec<String> =
                condition.iter().map(|known| format!("{} == {}", known.expression, known.literal)).collect();
            set_where(&mut draft.rule, &quoted(&all.join(" and ")));
        }
        self.rest(draft)
    }

    /// A proposed rule for a line with what is chosen.
    ///
    /// # Errors
    ///
    /// [`Mistake`].
    pub fn apply_to_line(&self, mut draft: Draft) -> Result<Draft, Mistake> {
        let with = |wanted: Use| {
            let chosen = self.spans.iter().filter(move |span| span.uses.contains(&wanted));
            chosen.map(|span| span.name.as_str())
        };
        put_into_service(&mut draft.rule, with(Use::Service));
        let output: Vec<String> = with(Use::Output).map(|name| format!("{name} {{{{ {name} }}}}")).collect();
        if !output.is_empty() {
            set(&mut draft.rule, "output", &quoted(&output.join(", ")));
        }
        self.rest(draft)
    }

    /// A proposed rule for what was posted with what is chosen.
    ///
    /// # Errors
    ///
    /// [`Mistake`].
    pub fn apply_to_posted(&self, draft: Draft) -> Result<Draft, Mistake> {
        self.rest(draft)
    }

    /// Id, state, and whether it drops.
    fn rest(&self, mut draft: Draft) -> Result<Draft, Mistake> {
        if let Some(id) = &self.id {
            if id.trim().is_empty() || id.len() > LONGEST_ID || id.contains(char::is_control) {
                return Err(Mistake::Id);
            }
            set(&mut draft.rule, "id", &quoted(id));
        }
        if self.drop {
            let rule: Vec<&str> = draft.rule.lines().filter(|line| !line.starts_with('#')).collect();
            let rule = rule.join("\n");
            let head = rule.split("[rule.check]").next().unwrap_or_default();
            draft.rule = format!("{head}drop = true\n");
            return Ok(draft);
        }
        if let Some(state) = &self.state {
            if State::service(state).is_none() {
                return Err(Mistake::State(state.chars().take(64).collect()));
            }
            set(&mut draft.rule, "state", &quoted(state));
            without_reason(&mut draft.rule, "State");
        }
        Ok(draft)
    }
}

/// Puts values into the name of the service.
fn put_into_service<'e>(rule: &mut String, expressions: impl Iterator<Item = &'e str>) {
    let values: Vec<String> = expressions.map(|value| format!("{{{{ {value} }}}}")).collect();
    if values.is_empty() {
        return;
    }
    let before = value_of(rule, "service").unwrap_or_default();
    let fixed = before.split("{{").next().unwrap_or_default().trim();
    set(rule, "service", &quoted(format!("{fixed} {}", values.join(" ")).trim_start()));
    without_reason(rule, "Service");
}

/// Takes away the comment that gives the reason of a proposal, where something else is chosen.
fn without_reason(rule: &mut String, of: &str) {
    let start = format!("# {of}: ");
    let kept: Vec<&str> = rule.lines().filter(|line| !line.starts_with(&start)).collect();
    *rule = format!("{}\n", kept.join("\n"));
}

/// Gives a key of a proposed rule another value. Proposed rules have each key on a line of its own.
fn set(rule: &mut String, key: &str, value: &str) {
    let start = format!("{key} = ");
    let mut text = String::with_capacity(rule.len());
    for line in rule.lines() {
        if line.starts_with(&start) {
            text.push_str(&start);
            text.push_str(value);
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    *rule = text;
}

fn set_where(rule: &mut String, condition: &str) {
    *rule = rule.replacen("[rule.check]\n", &format!("where = {condition}\n[rule.check]\n"), 1);
}

/// The text of a key.
fn value_of(rule: &str, key: &str) -> Option<String> {
    let table = toml::de::DeTable::parse(rule).ok()?;
    let rules = table.get_ref().get("rule")?.get_ref().as_array()?;
    let check = rules.first()?.get_ref().as_table()?.get("check")?.get_ref().as_table()?;
    check.get(key)?.get_ref().as_str().map(str::to_owned)
}
