//! A rule, with its test, from a message that no rule takes.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use super::choices::{self, Choices};
use super::examples::with_example_addresses;
use super::ground::{Ground, Unreadable};
use crate::import::mib::Comments;
use crate::import::observed::{self, Draft, Expected, Span};
use crate::inbox::{Group, Raw, Sample};
use crate::intake::describe;
use crate::message::Message;
use crate::mib::Mib;
use crate::outcome::result::Outcome;
use crate::posted::kept::Kept;
use crate::rules::compile::{Compiled, RuleFile, compile};
use crate::rules::{MatchResult, MessageContext, RuleSet, Scratch};

/// A rule that is proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggested {
    /// The rules, with their tests.
    pub toml: String,
    /// The message.
    pub message: Value,
    /// What can be chosen: the varbinds of a notification, or the parts of a line.
    pub parts: Value,
}

/// Why there is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRule {
    /// A group of which nothing is kept.
    #[error("group {0} has no message; it was only counted")]
    NoMessage(u64),
    /// It has fewer messages.
    #[error("group {0} keeps {1} messages; the first one is 0")]
    NoSuchMessage(u64, usize),
    /// The message cannot be read.
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    /// The packets of the group cannot be decoded.
    #[error(
        "the messages of group {0} cannot be decoded, so no rule can take them; `trapline unmatched show {0}` shows them"
    )]
    Malformed(u64),
    /// What is chosen cannot be.
    #[error("{0}")]
    Choice(#[from] choices::Mistake),
    /// The rule has mistakes.
    #[error("the rule that was made cannot be compiled: {0}")]
    Compile(String),
}

/// Makes rules.
#[derive(Clone, Copy)]
pub struct Maker<'m> {
    /// The names.
    pub mib: &'m Arc<Mib>,
    /// What vendors say in their modules.
    pub comments: &'m Comments,
    /// What is known of senders.
    pub ground: Ground<'m>,
}

/// The message of a group.
///
/// # Errors
///
/// If it has none, or not so many.
pub fn sample_of(group: &Group, at: Option<usize>) -> Result<&Sample, NoRule> {
    if group.samples.is_empty() {
        return Err(NoRule::NoMessage(group.id));
    }
    match at {
        None => group.samples.back().ok_or(NoRule::NoMessage(group.id)),
        Some(at) => group.samples.get(at).ok_or(NoRule::NoSuchMessage(group.id, group.samples.len())),
    }
}

impl Maker<'_> {
    /// A rule for the messages of a group.
    ///
    /// # Errors
    ///
    /// [`NoRule`].
    pub fn suggest(&self, group: &Group, choices: &Choices) -> Result<Suggested, NoRule> {
        let sample = sample_of(group, choices.sample)?;
        if matches!(sample.raw, Raw::Octets(_)) {
            return Err(NoRule::Malformed(group.id));
        }
        let example = choices.example_addresses.then(|| with_example_addresses(sample, self.mib));
        let sample = example.as_ref().unwrap_or(sample);
        self.ground.with_sample(sample, |context, _| self.of_context(context, sample, choices))?
    }

    fn of_context(
        &self,
        context: &MessageContext<'_>,
        sample: &Sample,
        choices: &Choices,
    ) -> Result<Suggested, NoRule> {
        let mut described = describe::message(context.message, context.source, context.charset, self.mib);
        if let Some(all) = described.as_object_mut() {
            all.shift_remove("community");
        }
        let mut pairs = Vec::new();
        let (draft, parts) = match (context.message, &sample.raw) {
            (Message::Notification(notification), Raw::Packet(hex)) => {
                let draft = observed::notification(self.mib, self.comments, notification, hex);
                if choices.with_pair {
                    pairs = observed::pairs(self.mib, self.comments, notification);
                }
                let varbinds = choices::varbinds(notification, &described["varbinds"], self.mib);
                let draft = choices.apply_to_notification(draft, &varbinds, &described["name"])?;
                (draft, json!({ "varbinds": choices::to_json(&varbinds, &choices.varbinds) }))
            }
            (Message::Syslog(line), Raw::Line(raw)) => {
                let spans = choices.spans_in(line.message)?;
                let draft = choices.apply_to_line(observed::line_with(line, raw, &spans))?;
                let suggested = observed::suggested(line.message);
                let shown = if spans.is_empty() { &suggested } else { &spans };
                (
                    draft,
                    json!({ "spans": shown_spans(line.message, shown), "suggested": shown_spans(line.message, &suggested) }),
                )
            }
            (Message::Posted(_), Raw::Posted(text)) => {
                let kept = Kept::read(text).ok_or(Unreadable::Kept)?;
                (choices.apply_to_posted(observed::posted(&kept))?, json!({}))
            }
            _ => return Err(Unreadable::Kept.into()),
        };
        let mut toml = self.complete(&draft, context)?;
        for pair in pairs {
            let _ = write!(toml, "\n{pair}");
        }
        Ok(Suggested { toml, message: described, parts })
    }

    /// The rule with a test that expects what it makes of the message.
    fn complete(&self, draft: &Draft, context: &MessageContext<'_>) -> Result<String, NoRule> {
        let file = RuleFile { name: "new rule".into(), text: draft.rule.as_str().into() };
        let Compiled { rules, found, .. } = compile(&[file], self.mib.clone());
        let Some(rules) = rules else { return Err(NoRule::Compile(found.to_text())) };
        let (result, made) = outcomes(&rules, context);
        if result == MatchResult::Dropped {
            return Ok(draft.with_drop_test());
        }
        let expected = made.into_iter().next().map(|made| made.expected).unwrap_or_default();
        Ok(draft.with_test(&expected))
    }
}

/// An outcome, as far as a test of a new rule expects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The host.
    pub host: String,
    /// Service and state.
    pub expected: Expected,
    /// The output.
    pub output: String,
}

/// What rules make of a message.
pub fn outcomes(rules: &RuleSet, context: &MessageContext<'_>) -> (MatchResult, Vec<Made>) {
    let mut made = Vec::new();
    let result = rules.apply(context, &mut Scratch::for_trial(), |_, outcome| {
        let state = outcome.common().state.as_str().to_owned();
        let (host, service) = match outcome {
            Outcome::CheckResult(check) => (check.host.to_string(), check.service.as_deref()),
            Outcome::Event(event) => (event.component.to_string(), event.resource.as_deref()),
        };
        let expected = Expected { service: service.map(str::to_owned), state };
        made.push(Made { host, expected, output: outcome.common().output.to_string() });
    });
    (result, made)
}

/// Parts of a message as JSON; places are counted in characters.
fn shown_spans(message: &str, spans: &[Span]) -> Value {
    let at = |offset: usize| message[..offset].chars().count();
    spans
        .iter()
        .map(|span| {
            json!({
                "start": at(span.range.start), "end": at(span.range.end), "name": span.name, "text": message[span.range.clone()],
            })
        })
        .collect()
}
