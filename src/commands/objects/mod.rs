//! `trapline objects`: the hosts and services that the monitoring core needs, as its configuration.

mod have;
mod need;
mod run;
#[cfg(test)]
mod tests;
mod write;

pub use run::{ObjectsArgs, run};
