//! What the state of rules holds, for people who ask, and its end by hand.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::correlate::Secret;
use crate::correlate::view::{Clear, Wanted};
use crate::intake::shared::Shared;
use crate::rules::matching::Glob;

/// What is sent when a problem is cleared by hand and no output is given.
pub const CLEARED: &str = "Cleared by hand";

/// Which entries somebody asks for. All that is given must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StateFilter {
    /// Ids, as the list shows them.
    pub ids: Vec<String>,
    /// The id of the rule, with the wildcards `*` and `?`.
    pub rule: Option<String>,
    /// The host or component, with the wildcards, in any case.
    pub host: Option<String>,
    /// The service or resource, with the wildcards, in any case.
    pub service: Option<String>,
    /// The text of the rule's `key`.
    pub key: Option<String>,
    /// Also what thresholds and throttles count, and what is expected.
    pub counts: bool,
}

impl StateFilter {
    /// Whether it asks for everything.
    pub fn is_empty(&self) -> bool {
        StateFilter { counts: false, ..self.clone() } == StateFilter::default()
    }

    /// The same, made ready.
    ///
    /// # Errors
    ///
    /// What is wrong with an id.
    fn wanted(&self, secret: Secret) -> Result<Wanted, String> {
        let id = |text: &String| {
            let digits = Some(text).filter(|text| text.len() == 16);
            digits.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or_else(|| {
                format!("'{text}' is no id; `trapline state list` shows them: sixteen hexadecimal digits")
            })
        };
        let glob = |text: &Option<String>, fold| text.as_deref().map(|text| Glob::new(text, fold));
        Ok(Wanted {
            ids: self.ids.iter().map(id).collect::<Result<_, _>>()?,
            rule: glob(&self.rule, false),
            host: glob(&self.host, true),
            service: glob(&self.service, true),
            keys: self.key.as_deref().map(|key| Wanted::keys_of(secret, key)).unwrap_or_default(),
            counts: self.counts || !self.ids.is_empty(),
        })
    }
}

/// What is kept and asked for, as JSON: how many entries there are, how many of them are open problems, the worst of these, and at most
/// `most` entries, the oldest first.
pub fn list(shared: &Shared, filter: &StateFilter, most: usize) -> Value {
    let correlation = &shared.commit.correlation;
    let wanted = match filter.wanted(correlation.secret()) {
        Ok(wanted) => wanted,
        Err(error) => return json!({ "ok": false, "error": error }),
    };
    match correlation.view(shared.now(), &wanted, most) {
        Some(mut listed) => {
            let (total, open, worst) = (listed.total, listed.open, listed.worst.take());
            json!({ "ok": true, "total": total, "open": open, "worst": worst, "entries": listed.oldest() })
        }
        None => not_yet(),
    }
}

/// Ends what is asked for. What this brings about is journaled and on disk when it returns. Blocks.
pub fn clear(shared: &Shared, filter: &StateFilter, output: Option<&str>, silent: bool) -> Value {
    let commit = &shared.commit;
    let wanted = match filter.wanted(commit.correlation.secret()) {
        Ok(wanted) => wanted,
        Err(error) => return json!({ "ok": false, "error": error }),
    };
    let how = Clear { output: output.unwrap_or(CLEARED), silent };
    match commit.clear_state(shared.now(), &wanted, how) {
        Some((cleared, safe)) => json!({ "ok": true, "cleared": cleared, "safe": safe }),
        None => not_yet(),
    }
}

fn not_yet() -> Value {
    json!({ "ok": false, "error": "the daemon has not read its rules yet; try again when `trapline status` says that it is ready" })
}
