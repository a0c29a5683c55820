//! From a message that no rule takes to a rule in force: what the console, `trapline unmatched`, `trapline rule new` and `trapline explain`
//! have in common.
//!
//! [`groups`] shows what the inbox has, [`suggest`] makes a rule with its test from a message and what is chosen of it ([`choices`], [`examples`]),
//! [`trial`] tries rules without putting them in force, no more at once than [`bounds`] has, [`explained`] says what becomes of a message, and [`versions`] keeps the
//! rules that are saved. What rules are tried against is a [`ground::Ground`] and a [`Workshop`].

pub mod bounds;
pub mod choices;
pub mod examples;
pub mod explained;
pub mod ground;
pub mod groups;
pub mod suggest;
pub mod trial;
pub mod versions;
pub mod workshop;

pub use choices::Choices;
pub use ground::Ground;
pub use versions::Versions;
pub use workshop::Workshop;

#[cfg(test)]
mod lines_tests;
#[cfg(test)]
mod tests;
