//! Asks the resolver for the names of senders. The resolver blocks, so that each worker has a thread.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::supervise::{Crew, Member, OnEnd, told};
use crate::lookup::reverse::{ReverseNames, confirmed};
use crate::net::NoName;
use crate::time::log_limit::Reasons;

/// How many questions are under way at once.
const WORKERS: usize = 4;

/// The threads that ask. They end when this is dropped; one that waits for the resolver ends when it has answered.
#[derive(Debug)]
pub struct Workers(#[expect(dead_code, reason = "held, so that they run")] Vec<Member>);

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn start(crew: &Crew, names: &Arc<ReverseNames>) -> io::Result<Self> {
        let world = crew.world();
        let failures = Arc::<Reasons>::default();
        let worker = |at| {
            let (names, world, failures) = (names.clone(), world.clone(), failures.clone());
            let name = format!("reverse DNS {at}");
            crew.thread_of_tasks(&name, OnEnd::Restart, move |mut stop| {
                let (names, world, failures) = (names.clone(), world.clone(), failures.clone());
                async move {
                    loop {
                        let address = tokio::select! {
                            () = told(&mut stop) => return,
                            address = names.next() => address,
                        };
                        let began = world.clock.now().mono;
                        let answer = confirmed(&*world.resolver, address);
                        let now = world.clock.now().mono;
                        let took = now.since(began);
                        if let Err(NoName::Failed(why)) = &answer
                            && let Some(suppressed) = failures.allow(why, now)
                        {
                            log_failure(&address.to_string(), why, took, suppressed);
                        }
                        names.answered(address, &answer, now);
                    }
                }
            })
        };
        (1..=WORKERS).map(worker).collect::<io::Result<_>>().map(Workers)
    }
}

fn log_failure(address: &str, why: &str, took: Duration, suppressed: Option<u64>) {
    tracing::warn!(
        suppressed,
        "the resolver has no answer for {address} after {} ms: {why}; check the name servers of this machine, or add the address to [hosts] map",
        took.as_millis()
    );
}
