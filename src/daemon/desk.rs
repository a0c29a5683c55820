//! The daemon, as routes of the API reach it.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc;

use super::control::{self, Order};
use super::replies::refusal;
use crate::status::Status;
use crate::web::api::desk::{Control, Later};

/// Carries out requests as the control socket does.
#[derive(Debug)]
pub struct ByControl {
    /// What is told of the daemon.
    pub status: Arc<Status>,
    /// Where what it is told to do goes.
    pub orders: mpsc::Sender<Order>,
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
}
