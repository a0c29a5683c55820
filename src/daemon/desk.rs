//! The daemon, as routes of the API reach it.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::control::{self, Order, Request};
use super::helpers::{Helpers, Undone};
use super::replies::refusal;
use crate::status::Status;
use crate::web::api::desk::{Control, Job, Later};

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

impl Control for ByControl {
    fn ask(&self, request: Value) -> Later {
        let (status, orders) = (self.status.clone(), self.orders.clone());
        Box::pin(async move {
            match serde_json::from_value(request) {
                Ok(request) => control::reply(request, &status, &orders).await,
                Err(error) => refusal(format!("unknown request: {error}")),
            }
        })
    }

    fn help(&self, job: Job) -> Later {
        let (status, orders, helpers) = (self.status.clone(), self.orders.clone(), self.helpers.clone());
        Box::pin(async move {
            let is_about_mibs = !matches!(job, Job::Replay { .. });
            // It reads and writes files, and waits for another process.
            let done = tokio::task::spawn_blocking(move || helpers.run(&job)).await;
            let mut answer = match done {
                Ok(Ok(answer)) => answer,
                Ok(Err(Undone::Busy)) => {
                    let why = "another upload or replay is under way; try again when it is done";
                    return json!({ "ok": false, "error": why, "busy": true });
                }
                Ok(Err(Undone::Refused(why))) => return refusal(why),
                Err(_) => return refusal("it has failed; see the log of the daemon".to_owned()),
            };
            if is_about_mibs && answer["changed"] == true {
                answer["reload"] = control::reply(Request::Reload, &status, &orders).await;
            }
            json!({ "ok": true, "done": answer })
        })
    }
}
