//! What `[rules]` says beside its files.

use crate::rules::rule::MAX_MESSAGE;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::Section;
use crate::settings::values::size;

/// The least value of `max_message`, in bytes.
const LEAST: u64 = 1024;
/// The largest value of `max_message`, in bytes.
const MOST: u64 = 64 * 1024;

/// `max_message`: the most bytes of a message that rules see. Default: [`MAX_MESSAGE`].
pub fn max_message(section: &Section<'_, '_>, found: &mut Diagnostics) -> usize {
    let Some(size) = size(section, "max_message", found) else { return MAX_MESSAGE };
    if !(LEAST..=MOST).contains(&size.value) {
        let hint = Some("messages of more than 64KiB are cut before rules see them".to_owned());
        found.push(section.source().error(&size.span, "max_message must be 1KiB to 64KiB", hint));
    }
    size.value as usize
}
