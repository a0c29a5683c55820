//! The file sink: one JSON object a line, into a file, a pipe or a terminal.

pub mod json_lines;
mod stream;

pub use json_lines::{JsonLines, KIND};
