//! Compiles the keys of a rule that keep something over time.

use std::sync::Arc;
use std::time::Duration;

use crate::language::jinja::Environment;
use crate::language::template::{Compiler, Fault, Template};
use crate::outcome::name::Name;
use crate::outcome::result::State;
use crate::rules::deferred::{Deferred, DeferredScope};
use crate::rules::expect_schema::ExpectText;
use crate::rules::matching::Glob;
use crate::rules::plan::{
    Dedup, Expect, Expire, KeyTemplates, Recovery, RuleId, RulePlan, Step, Threshold, Throttle, When, Wide,
    digest,
};
use crate::rules::schema::RuleText;
use crate::rules::state_schema::StateText;
use crate::rules::templates::Templates;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, SourceText, did_you_mean};
use crate::settings::section::Located;
use crate::settings::values::shown;

/// The templates of a rule's keys; none if one has an error, `Some(None)` if the rule has none.
#[allow(clippy::option_option)]
pub(super) fn key_templates(
    text: &StateText,
    templates: &mut Templates<'_, '_>,
) -> Option<Option<Box<KeyTemplates>>> {
    let key = templates.name("key", text.key.as_ref(), "leave it out for host and service");
    let of = |key: Option<&Located<String>>, templates: &mut Templates<'_, '_>| {
        templates.name("key", key, "leave it out for the rule's key")
    };
    let threshold = of(text.threshold.as_ref().and_then(|t| t.key.as_ref()), templates);
    let throttle = of(text.throttle.as_ref().and_then(|t| t.key.as_ref()), templates);
    let expect = of(text.expect.as_ref().and_then(|e| e.key.as_ref()), templates);
    let keys = KeyTemplates { key: key?, threshold: threshold?, throttle: throttle?, expect: expect? };
    let any =
        keys.key.is_some() || keys.threshold.is_some() || keys.throttle.is_some() || keys.expect.is_some();
    Some(any.then(|| Box::new(keys)))
}

/// What a rule keeps over time; none if it has an error.
pub(super) fn plan(
    text: &RuleText,
    source: &SourceText<'_>,
    environment: &mut Environment,
    found: &mut Diagnostics,
) -> Option<RulePlan> {
    let of_host = text.check.as_ref().is_some_and(|check| check.service.is_none());
    let state = &text.state;
    let expect = state.expect.as_ref().map(|of| expect(text, of, source, environment, found));
    let compiler = Compiler::new(&DeferredScope { expected: false }, environment);
    let mut build = Build { source, compiler, found, of_host };
    let dedup = state
        .dedup
        .as_ref()
        .map(|dedup| Some(Dedup { window: dedup.window, summary: build.optional(dedup.summary.as_ref())? }));
    let throttle = state.throttle.as_ref().map(|throttle| {
        let summary = build.optional(throttle.summary.as_ref())?;
        Some(Throttle { count: throttle.count, per: throttle.per, summary })
    });
    let threshold = build.threshold(state);
    let expire = state.expire.as_ref().map(|expire| {
        let output = build.output(expire.output.as_ref(), expire.after);
        Some(Expire { after: expire.after, state: build.state(&expire.state)?, output: output? })
    });
    let escalate: Vec<_> = state
        .escalate
        .iter()
        .map(|step| Some(Step { at: step.at, state: build.state(&step.state)? }))
        .collect();
    let wide = state.wide.as_ref().map(|wide| {
        let output = match &wide.output {
            Some(output) => build.template(output),
            None => build.compiler.template(&format!("Cleared by {}", text.id.value.replace('{', ""))),
        };
        let state = all_right(wide.state.as_ref().map(|state| build.any_state(state)));
        let glob = |text: &Located<String>| Glob::new(&text.value, false);
        let rules = wide.rules.iter().map(glob).collect();
        Some(Box::new(Wide {
            rules,
            service: wide.service.as_ref().map(glob),
            state: state?,
            output: output?,
        }))
    });
    if let (Some(_), None) = (&state.recovery, &state.threshold) {
        let span = state.recovery.as_ref().map_or(0..0, |recovery| recovery.span.clone());
        build.found.push(build.source.error(
            &span,
            "[rule.recovery] is sent after 'threshold.recover', and the rule has no 'threshold'",
            Some("add threshold = { count = 5, within = \"1m\", recover = \"10m\" }".to_owned()),
        ));
    }
    let key_text = |key: Option<&Located<String>>| key.map_or(String::new(), |key| key.value.clone());
    let identity = [
        text.id.value.as_str(),
        &key_text(state.key.as_ref()),
        &key_text(state.threshold.as_ref().and_then(|t| t.key.as_ref())),
        &key_text(state.throttle.as_ref().and_then(|t| t.key.as_ref())),
    ];
    // What is expected has an identity of its own: `expect` can come and go, and the rest of the state stays.
    let expected = key_text(state.expect.as_ref().and_then(|expect| expect.key.as_ref()));
    let expects = digest(&identity.into_iter().chain([expected.as_str()]).collect::<Vec<_>>());
    let identity = digest(&identity);
    Some(RulePlan {
        id: RuleId::of(&text.id.value),
        name: Arc::from(text.id.value.as_str()),
        tracked: !state.given.is_empty(),
        explicit: state.key.is_some(),
        identity,
        expects,
        clears: state.clears.unwrap_or(true),
        wide: all_right(wide)?,
        orphan: state.orphan,
        dedup: all_right(dedup)?,
        threshold: all_right(threshold)?,
        hold: state.hold,
        throttle: all_right(throttle)?,
        escalate: escalate.into_iter().collect::<Option<_>>()?,
        expire: all_right(expire)?,
        expect: all_right(expect)?.map(Box::new),
        remind: state.remind,
    })
}

/// The labels of a rule that need no message.
fn constant_labels(rule: &RuleText) -> Vec<(Arc<str>, Arc<str>)> {
    let constant =
        |text: &str| !text.is_empty() && !["{{", "{%", "{#"].iter().any(|begin| text.contains(begin));
    let all = rule.labels.iter().filter(|(_, text)| constant(text));
    all.map(|(name, text)| (Arc::from(name.as_str()), Arc::from(Name::new(text.as_str()).as_str()))).collect()
}

/// What a rule expects; none if it has an error.
fn expect(
    rule: &RuleText,
    text: &ExpectText,
    source: &SourceText<'_>,
    environment: &mut Environment,
    found: &mut Diagnostics,
) -> Option<Expect> {
    let own = rule.check.as_ref().map(|check| check.service.as_ref());
    let own = own.or_else(|| rule.event.as_ref().map(|event| event.resource.as_ref())).flatten();
    // What is made of a message cannot be known without one.
    let constant = own.filter(|own| !own.value.contains("{{") && !own.value.contains("{%"));
    let service = text.service.as_ref().or(constant);
    let event = rule.check.is_none();
    if let (None, Some(own)) = (service, own) {
        found.push(source.error(
            &own.span,
            "without a message nobody knows the service that [rule.expect] is about",
            Some("add 'service' to [rule.expect], such as service = \"Backup\"".to_owned()),
        ));
        return None;
    }
    let compiler = Compiler::new(&DeferredScope { expected: true }, environment);
    let mut build = Build { source, compiler, found, of_host: service.is_none() && !event };
    let host = match &text.host {
        Some(host) => build.template(host),
        None => build.compiler.template("{{ key }}"),
    };
    let service = build.optional(service);
    let state = match &text.state {
        Some(state) => build.state(state),
        None => Some(if build.of_host { State::Down } else { State::Critical }),
    };
    let output = match (&text.output, &text.when) {
        (Some(output), _) => build.template(output),
        (None, When::Every(every)) => {
            let time = shown(Duration::from_micros(u64::try_from(*every + text.grace).unwrap_or(0)));
            build.compiler.template(&format!("No message of {{{{ key }}}} for {time}"))
        }
        (None, When::By(daily)) => {
            let time = daily.time.strftime("%H:%M").to_string();
            build.compiler.template(&format!("No message of {{{{ key }}}} by {time}"))
        }
    };
    Some(Expect {
        when: text.when.clone(),
        grace: text.grace,
        keys: text.keys.iter().map(|key| Arc::from(key.as_str())).collect(),
        learn: text.learn,
        forget: text.forget,
        event,
        labels: constant_labels(rule),
        host: host?,
        service: service?,
        state: state?,
        output: output?,
    })
}

#[allow(clippy::option_option)]
fn all_right<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        Some(value) => value.map(Some),
        None => Some(None),
    }
}

struct Build<'c, 'f> {
    source: &'c SourceText<'c>,
    compiler: Compiler<'c, DeferredScope>,
    found: &'f mut Diagnostics,
    /// Whether the outcome is that of a host.
    of_host: bool,
}

impl Build<'_, '_> {
    fn threshold(&mut self, state: &StateText) -> Option<Option<Threshold>> {
        let text = state.threshold.as_ref()?;
        let given = state.recovery.as_ref();
        let word = given.and_then(|recovery| recovery.state.as_ref());
        let of_recovery = word.map(|word| self.state(word));
        let output = given.and_then(|recovery| recovery.output.as_ref());
        let output = self.output(output, text.recover.unwrap_or(0));
        let whole = || {
            Some(Threshold {
                count: text.count,
                within: text.within,
                is_of_several: text.key.is_some(),
                recover: text.recover,
                recovery: Recovery { state: all_right(of_recovery)?, output: output? },
            })
        };
        Some(whole())
    }

    fn template(&mut self, text: &Located<String>) -> Option<Template<Deferred>> {
        let template = self.compiler.template(&text.value);
        for Fault { severity, within, message, hint } in self.compiler.faults.drain(..) {
            let span = text.span_of(self.source, within);
            self.found.push(Diagnostic { severity, ..self.source.error(&span, message, hint) });
        }
        template
    }

    #[allow(clippy::option_option)]
    fn optional(&mut self, text: Option<&Located<String>>) -> Option<Option<Template<Deferred>>> {
        all_right(text.map(|text| self.template(text)))
    }

    /// The output of what is sent after some time without a message.
    fn output(&mut self, text: Option<&Located<String>>, after: i64) -> Option<Template<Deferred>> {
        match text {
            Some(text) => self.template(text),
            None => {
                let time = shown(Duration::from_micros(u64::try_from(after).unwrap_or(0)));
                let default = format!("No message for {time}; the last was: {{{{ output }}}}");
                self.compiler.template(&default)
            }
        }
    }

    /// A state of a host or a service.
    fn any_state(&mut self, text: &Located<String>) -> Option<State> {
        if let Some(state) = State::host(text) {
            return Some(state);
        }
        let before = std::mem::replace(&mut self.of_host, false);
        let state = self.state(text);
        self.of_host = before;
        state
    }

    fn state(&mut self, text: &Located<String>) -> Option<State> {
        let parse = if self.of_host { State::host } else { State::service };
        if let Some(state) = parse(text) {
            return Some(state);
        }
        let words: Vec<&str> =
            State::ALL.into_iter().filter(|s| s.is_host() == self.of_host).map(State::as_str).collect();
        let kind = if self.of_host { "a host (the check has no 'service')" } else { "a service" };
        let hint = did_you_mean(text, words.iter().copied())
            .unwrap_or_else(|| format!("states: {}", words.join(", ")));
        let message = format!("'{}' is not a state of {kind}", text.value);
        self.found.push(self.source.error(&text.span, message, Some(hint)));
        None
    }
}
