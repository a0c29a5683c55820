//! Rules: which messages they match, and what they make of them.
//!
//! A rule file ([`schema`]) is compiled once ([`compile`]): names become OIDs, conditions and templates become nodes
//! that are evaluated on the message itself ([`language`](crate::language)). An [`index`] leads from a message to the
//! few rules that can match it. [`RuleSet::apply`] is pure: no I/O, no clock.

pub mod apply;
pub mod asks;
mod body_values;
pub mod compile;
pub mod console;
pub mod context;
mod cut;
pub mod deferred;
pub mod doubts;
mod expect_schema;
pub mod explain;
pub mod files;
pub mod hostile;
pub mod hours;
pub mod index;
mod labels;
pub mod looks;
pub mod lookups;
pub mod matching;
pub mod patterns;
pub mod plan;
pub mod rule;
pub mod schema;
pub mod scope;
pub mod settings;
pub mod shape;
pub mod shipped;
mod state;
pub mod state_schema;
mod templates;
pub mod test_schema;
pub mod testing;
pub mod values;
pub mod variable;

pub use apply::{MatchResult, Scratch};
pub use context::MessageContext;
pub use rule::{Rule, RuleSet};

#[cfg(test)]
mod differential_tests;
#[cfg(test)]
mod doubts_tests;
#[cfg(test)]
mod label_tests;
#[cfg(test)]
mod mistake_tests;
#[cfg(test)]
mod present_tests;
#[cfg(test)]
mod state_tests;
#[cfg(test)]
mod tests;
