//! Makes rules from the notifications of MIB modules: proposals that an operator can keep, with a comment above each
//! rule that gives the reason for every choice.
//!
//! A module is read as a whole. `names` splits the names of its notifications into words, finds the words that say
//! what state a notification reports, and groups the notifications that report trouble and recovery of one thing.
//! A group shares a service, whose `identity` comes from what all its notifications carry. `state` and `output`
//! complete the [`propose::Proposal`], and `write` makes TOML of it, with a test.

mod comments;
mod example;
mod further;
mod identity;
mod names;
mod output;
mod propose;
mod state;
mod vocabulary;
mod words;
mod write;

pub use comments::{Comment, Comments};
pub use further::{of_observed, with_further};
pub use identity::Identity;
pub use propose::{Proposal, propose};
pub use write::{rules, told_apart, with_example, without_test};

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod tests;
