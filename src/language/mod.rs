//! The language of expressions and templates: minijinja's (Jinja2), with named numbers.
//!
//! A template is compiled once, with the [`names`] that it may use. Text, variables, literals, comparisons, `and`,
//! `or`, `not`, `in`, `~`, `x if y else z`, `{% if %}` and some filters become nodes ([`expr`]) that are evaluated on
//! the message itself. The template engine renders everything else ([`jinja`]): the template is rewritten for it
//! ([`rewrite`]), so that variables, comparisons and named numbers mean the same in both. A property test compares the
//! two.
//!
//! The module knows neither rules nor messages. Its users implement [`names::Names`] and [`names::Values`].

pub mod budget;
pub mod builtins;
pub mod convert;
pub mod expr;
pub mod functions;
pub mod jinja;
mod mistakes;
pub mod names;
pub mod pattern;
pub mod rewrite;
pub mod syntax;
pub mod template;
pub mod value;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod mistake_tests;
#[cfg(test)]
mod tests;
