//! The daemon, as routes of the API reach it.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::control::{self, Order, Request};
use super::helpers::Helpers;
use crate::status::Status;
use crate::web::api::desk::{Control, Job, Later, Undone};

/// Carries out requests as the control socket does.
#[derive(Debug)]
pub struct ByControl {
    /// What is told of the daemon.
    pub status: Arc<Status>,
    /// Where what it is told to do goes.
    pub orders: mpsc::Sender<Order>,
    /// Who does what takes long.
    pub helpers: Arc<Helpers>,
}

/// What is set when nobody waits for an answer any more.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// An answer as the control socket has it.
fn judged(answer: Value) -> Result<Value, Undone> {
    if answer["ok"] != false {
        return Ok(answer);
    }
    let why = answer["error"].as_str().unwrap_or("the daemon has refused").to_owned();
    Err(if answer["unable"] == true { Undone::Unable(why) } else { Undone::Refused(why) })
}

impl Control for ByControl {
    fn ask(&self, request: Value) -> Later {
        let (status, orders) = (self.status.clone(), self.orders.clone());
        Box::pin(async move {
            let request = serde_json::from_value(request);
            let request = request.map_err(|error| Undone::Refused(format!("unknown request: {error}")))?;
            judged(control::reply(request, &status, &orders).await)
        })
    }

    fn help(&self, job: Job) -> Later {
        let (status, orders, helpers) = (self.status.clone(), self.orders.clone(), self.helpers.clone());
        Box::pin(async move {
            let changes = !matches!(job, Job::Replay { .. });
            let gone = Arc::<AtomicBool>::default();
            // What changes something is done to its end, whoever has gone.
            let _gone = (!changes).then(|| Gone(gone.clone()));
            // It reads and writes files, and waits for another process.
            let done = tokio::task::spawn_blocking(move || helpers.run(&job, &gone)).await;
            let failed = |_| Undone::Unable("it has failed; see the log of the daemon".to_owned());
            let mut answer = done.map_err(failed)??;
            if changes && answer["changed"] == true {
                answer["reload"] = control::reply(Request::Reload, &status, &orders).await;
            }
            Ok(json!({ "ok": true, "done": answer }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::replies::{refusal, unable};
    use super::*;

    #[test]
    fn what_the_machine_cannot_do_is_no_mistake_of_who_asks() {
        assert_eq!(judged(refusal("no".to_owned())), Err(Undone::Refused("no".to_owned())));
        assert_eq!(judged(unable("full".to_owned())), Err(Undone::Unable("full".to_owned())));
        assert_eq!(judged(json!({ "ok": true })), Ok(json!({ "ok": true })));
    }
}
