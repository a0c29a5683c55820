//! Tables for those who look into them behind the journal: templates and conditions of sinks.
//!
//! A sink is compiled before any table is read, and outlives reloads that do not change it. So it keeps the names of tables, and
//! looks into what they are at the moment.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::language::names::{Doubt, Key};
use crate::lookup::settings::Definition;
use crate::lookup::tables::{Known, Tables};
use crate::rules::lookups::Offered;

/// A look into a table by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedLook {
    /// The table.
    pub table: Arc<str>,
    /// The column; none for the key of the row.
    pub column: Option<Box<str>>,
}

/// The tables of one configuration, in their newest versions. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Looks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The tables without rows.
    names: Tables,
    used: Mutex<BTreeSet<(Arc<str>, Box<str>)>>,
    newest: Mutex<Arc<Tables>>,
}

impl Looks {
    /// Of the tables of a configuration.
    pub fn new(definitions: &[Arc<Definition>]) -> Self {
        let known = definitions.iter().map(|definition| Known::new(definition.clone(), None));
        Looks(Arc::new(Inner { names: Tables::new(known.collect()), ..Inner::default() }))
    }

    /// The look that a call is.
    ///
    /// # Errors
    ///
    /// What is wrong with the call.
    pub fn look(&self, first: Option<&str>, args: usize, keys: &[Key<'_>]) -> Result<NamedLook, Doubt> {
        let offered = Offered::new(&self.0.names);
        let look = offered.look(first, args, keys)?;
        let table: Arc<str> = self
            .0
            .names
            .all()
            .get(look.table)
            .map_or_else(Arc::default, |known| known.definition.name.clone());
        if let Some(column) = &look.column {
            let used = (table.clone(), column.clone());
            self.0.used.lock().unwrap_or_else(PoisonError::into_inner).insert(used);
        }
        Ok(NamedLook { table, column: look.column })
    }

    /// The columns of a table that were used.
    pub fn needs(&self, table: &str) -> Vec<Box<str>> {
        let used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.iter().filter(|(of, _)| **of == *table).map(|(_, column)| column.clone()).collect()
    }

    /// The columns that were used and that a table does not have, each with the name of its table.
    pub fn missing(&self, tables: &Tables) -> Vec<(Arc<str>, Box<str>)> {
        let used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        let lacks = |(table, column): &&(Arc<str>, Box<str>)| {
            let table = tables.place(table).and_then(|place| tables.at(place));
            table.is_some_and(|table| table.column(column).is_none())
        };
        used.iter().filter(lacks).cloned().collect()
    }

    /// The tables as they are.
    pub fn tables(&self) -> Arc<Tables> {
        self.newest().clone()
    }

    /// The tables are these from now on.
    pub fn set(&self, tables: &Arc<Tables>) {
        *self.newest() = tables.clone();
    }

    fn newest(&self) -> MutexGuard<'_, Arc<Tables>> {
        self.0.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All who look into tables and are still there.
#[derive(Debug, Default)]
pub struct Lookers(Mutex<Vec<Weak<Inner>>>);

impl Lookers {
    /// One more.
    pub fn add(&self, looks: &Looks) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.strong_count() > 0 && !std::ptr::eq(one.as_ptr(), Arc::as_ptr(&looks.0)));
        all.push(Arc::downgrade(&looks.0));
    }

    /// The tables are these from now on.
    pub fn tell(&self, tables: &Arc<Tables>) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in all.iter().filter_map(Weak::upgrade) {
            Looks(one).set(tables);
        }
    }
}
