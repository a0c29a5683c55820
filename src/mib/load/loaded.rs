//! What loading modules gives.

use crate::mib::Mib;
use crate::settings::diagnostic::Diagnostics;

/// What loading gave.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The index.
    pub mib: Mib,
    /// What was found wrong. A broken module in a folder is a warning, as it stops no other; one that was named
    /// as a file is an error.
    pub found: Diagnostics,
}
