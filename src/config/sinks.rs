//! `[[sinks]]`: each sink's own settings, and what the daemon needs to tell it from the one of before a reload.

use std::path::PathBuf;

use crate::rules::looks::Looks;
use crate::settings::diagnostic::{Diagnostics, Place, SourceText};
use crate::settings::section::{Digest, Located, Section};
use crate::sinks::registry::{self, KINDS};
use crate::sinks::settings::{SinkConfig, is_name};

/// One `[[sinks]]`.
#[derive(Debug, Clone)]
pub struct SinkSection {
    /// The sink.
    pub settings: SinkConfig,
    /// `was`: the name that the sink had before; its cursor and dead letters are taken over.
    pub was: Option<String>,
    /// Of all keys but `name` and `was`, and of what passwords and certificates they name.
    pub digest: Digest,
    /// Where it is; none for a built-in one.
    pub place: Option<Place>,
}

/// Reads all of them.
pub(super) fn read(
    source: &SourceText<'_>,
    root: &Section<'_, '_>,
    (resolve, looks): (&dyn Fn(&str) -> PathBuf, &Looks),
    found: &mut Diagnostics,
) -> Vec<SinkSection> {
    let mut all: Vec<SinkSection> = Vec::new();
    let mut renamed: Vec<(Located<String>, String)> = Vec::new();
    for section in root.sections("sinks", found) {
        let place = source.place_of(&section.span());
        let settings = registry::read_with(KINDS, &section, (resolve, looks), found);
        let was = section.string("was", found);
        let digest = section.digest(&["name", "was"]);
        if let Some(settings) = settings {
            if all.iter().any(|other| other.settings.name == settings.name) {
                let message = format!("two sinks are named '{}'", settings.name);
                let hint = Some("give each a name of its own".to_owned());
                found.push(source.error(&section.span(), message, hint));
            }
            renamed.extend(was.clone().map(|was| (was, settings.name.clone())));
            all.push(SinkSection { settings, was: was.map(|was| was.value), digest, place: Some(place) });
            // What was not read as far as its keys does not know them.
            section.finish(found);
        } else {
            section.cut_short(found);
        }
    }
    for (at, (was, name)) in renamed.iter().enumerate() {
        let message = if !is_name(was) {
            format!("'{}' cannot be the name of a sink", was.value.escape_debug())
        } else if was.value == *name {
            format!("'was' names the sink itself, '{name}'")
        } else if all.iter().any(|sink| sink.settings.name == was.value) {
            format!("'was' names the sink '{}', which is configured as well", was.value)
        } else if renamed[..at].iter().any(|(other, _)| other.value == was.value) {
            format!("'{}' is the former name of two sinks", was.value)
        } else {
            continue;
        };
        let hint = Some("name the former name of this sink, or remove 'was'".to_owned());
        found.push(source.error(&was.span, message, hint));
    }
    all
}
