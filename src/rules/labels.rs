//! The labels of what a rule makes.

use std::borrow::Cow;

use crate::language::template::Template;
use crate::outcome::name::Name;
use crate::outcome::result::Label;

/// The longest value of a label, in octets.
const MAX_LABEL: usize = 256;

/// The value of a label: one line, cut to what it can have.
pub(super) fn label(text: Cow<'_, str>) -> Cow<'_, str> {
    let name = Name::new(text);
    if name.len() <= MAX_LABEL {
        return name.into_text();
    }
    Cow::Owned(name[..name.floor_char_boundary(MAX_LABEL)].trim_end().to_owned())
}

/// The labels, if they are the same for all messages: those of nearly all rules. Without those that are empty.
pub(super) fn constant<V>(labels: &[(String, Template<V>)]) -> Option<Vec<Label<'static>>> {
    let mut constant = Vec::new();
    for (name, template) in labels {
        let value = label(template.constant()?.to_owned().into());
        if !value.is_empty() {
            constant.push((Cow::Owned(name.clone()), value));
        }
    }
    Some(constant)
}
