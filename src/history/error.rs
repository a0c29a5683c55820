//! What goes wrong with the files of the history.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// A file of the history cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", file.display())]
pub struct HistoryError {
    /// The file or folder.
    pub file: PathBuf,
    /// Why.
    #[source]
    pub why: Why,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// SQLite says so.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The system says so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What it has does not fit together.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Another release has written it.
    #[error("it has the form {0}, of a newer release; use that release")]
    Newer(i64),
}

impl HistoryError {
    pub(super) fn of(file: &Path) -> impl Fn(rusqlite::Error) -> HistoryError + use<> {
        let file = file.to_owned();
        move |error| HistoryError { file: file.clone(), why: Why::Sqlite(error) }
    }

    pub(super) fn io(file: &Path) -> impl Fn(io::Error) -> HistoryError + use<> {
        let file = file.to_owned();
        move |error| HistoryError { file: file.clone(), why: Why::Io(error) }
    }

    fn code(&self) -> Option<ErrorCode> {
        match &self.why {
            Why::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }

    /// Whether what the file has is no database any more.
    pub fn is_corrupt(&self) -> bool {
        let is_damaged = matches!(self.why, Why::Damaged(_));
        is_damaged || matches!(self.code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }

    /// Whether a search was cut because its time was over.
    pub(super) fn is_cut(&self) -> bool {
        self.code() == Some(ErrorCode::OperationInterrupted)
    }

    /// Whether the file is not there: the daemon has removed it meanwhile.
    pub(super) fn is_absent(&self) -> bool {
        match &self.why {
            Why::Sqlite(_) => self.code() == Some(ErrorCode::CannotOpen) && !self.file.exists(),
            Why::Io(error) => error.kind() == io::ErrorKind::NotFound,
            Why::Newer(_) | Why::Damaged(_) => false,
        }
    }
}
