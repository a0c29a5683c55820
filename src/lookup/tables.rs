//! The tables of a configuration, each in one version.

use std::sync::Arc;

use super::settings::Definition;
use super::table::Table;

/// All tables. Each keeps its place as long as the configuration stays.
#[derive(Debug, Default, Clone)]
pub struct Tables(Vec<Known>);

/// A table that the configuration defines.
#[derive(Debug, Clone)]
pub struct Known {
    /// What it is.
    pub definition: Arc<Definition>,
    /// Its rows; none as long as nothing was read.
    pub table: Option<Arc<Table>>,
    /// Whether these are those of the last good copy, as its file has a mistake.
    pub is_copy: bool,
}

impl Known {
    /// One with these rows.
    pub fn new(definition: Arc<Definition>, table: Option<Arc<Table>>) -> Self {
        Known { definition, table, is_copy: false }
    }
}

impl Tables {
    /// These tables.
    pub fn new(all: Vec<Known>) -> Self {
        Tables(all)
    }

    /// All of them, in their order.
    pub fn all(&self) -> &[Known] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The place of a table.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| &*known.definition.name == name)
    }

    /// The rows of the table at a place.
    pub fn at(&self, place: usize) -> Option<&Table> {
        self.0.get(place)?.table.as_deref()
    }

    /// The same tables with another version of one; none if it is not among them.
    pub fn with(&self, definition: &Arc<Definition>, table: Arc<Table>) -> Option<Self> {
        let place = self.0.iter().position(|known| Arc::ptr_eq(&known.definition, definition))?;
        let mut all = self.0.clone();
        all[place].table = Some(table);
        Some(Tables(all))
    }
}
