//! `only`: which outcomes a sink takes.

use crate::outcome::record::Record;
use crate::sinks::template::{OutcomeTemplate, TemplateError};

/// A condition over `outcome`.
#[derive(Debug, Clone)]
pub struct Filter(OutcomeTemplate);

impl Filter {
    /// Compiles an expression such as `outcome.state != 'ok'`.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        OutcomeTemplate::condition(source).map(Filter)
    }

    /// Whether the sink takes a record.
    pub fn takes(&self, record: &Record<'_>) -> bool {
        !self.0.render(record, str::to_owned).is_empty()
    }
}
