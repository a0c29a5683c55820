//! Whether the daemon is well: what it tells of itself, judged. `trapline status --check` and `[self]` use the same
//! judgement.

pub mod judge;
pub mod minutes;
pub mod settings;
pub mod signs;

pub use judge::{Judgement, Level, Limits, judge};
pub use minutes::Minutes;
pub use signs::{Recent, SinkSigns, Totals, Vitals};
