//! `[self]`: the daemon reports itself as a passive service, by the same way as everything else.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::watch;

use super::supervise::{Stop, told};
use crate::intake::commit::Refused;
use crate::intake::made::Made;
use crate::outcome::result::{CheckResult, Common, Labels, Outcome};
use crate::status::Status;
use crate::time::clock::Wall;
use crate::vitals::settings::Settings;
use crate::vitals::{Judgement, judge};

/// The rule that its results name.
pub const RULE: &str = "self";

/// What is reported; none if nothing is.
pub type Wanted = watch::Receiver<Option<Settings>>;

/// Reports at once and then at each interval, until told to stop. Blocks.
pub async fn report(status: Arc<Status>, mut wanted: Wanted, mut stop: Stop) {
    loop {
        let settings = wanted.borrow_and_update().clone();
        if let Some(settings) = &settings {
            let judgement = judge(&status.vitals(), &settings.limits);
            let now = status.shared.now();
            let mut made = Made::default();
            if made.batch.push(&result(settings, &judgement, now.wall)) {
                // A result that is refused waits with what else is refused.
                let _ = status.shared.commit.batch(now, &mut made, Refused::Queues);
            }
        }
        let due = async {
            match &settings {
                Some(settings) => tokio::time::sleep(settings.every).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            changed = wanted.changed() => if changed.is_err() { return told(&mut stop).await },
            () = told(&mut stop) => return,
        }
    }
}

/// The result that says it.
fn result<'s>(settings: &'s Settings, judgement: &'s Judgement, now: Wall) -> Outcome<'s> {
    Outcome::CheckResult(CheckResult {
        common: Common {
            time: now.micros(),
            rule: Cow::Borrowed(RULE),
            state: judgement.level.state(),
            output: Cow::Owned(format!("{} - {}", judgement.level.as_str(), judgement.text)),
            long_output: Cow::Borrowed(""),
            source: Cow::Borrowed("127.0.0.1"),
            labels: Labels::default(),
        },
        host: settings.host.as_str().into(),
        service: Some(settings.service.as_str().into()),
        perfdata: Cow::Borrowed(&judgement.perfdata),
    })
}
