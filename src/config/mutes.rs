//! `[[mute]]`: what need not reach anybody at certain times.

use crate::intake::mute::Covers;
use crate::intake::mutes::Configured;
use crate::rules::hours;
use crate::settings::diagnostic::{Diagnostics, did_you_mean};
use crate::settings::section::{Located, Section};

use super::sinks::SinkSection;

/// Reads all of them; `sinks` are those that there are, or none if not all could be read.
pub(super) fn read(
    root: &Section<'_, '_>,
    sinks: Option<&[SinkSection]>,
    found: &mut Diagnostics,
) -> Vec<Configured> {
    root.sections("mute", found).into_iter().filter_map(|section| mute(section, sinks, found)).collect()
}

fn mute(
    section: Section<'_, '_>,
    sinks: Option<&[SinkSection]>,
    found: &mut Diagnostics,
) -> Option<Configured> {
    let mut text = |key| section.string(key, found).map(|text| text.value);
    let (host, service, rule, reason) = (text("host"), text("service"), text("rule"), text("reason"));
    let named = section.strings("sinks", found).unwrap_or_default();
    let hours = hours::hours(&section, found);
    let known = || sinks.unwrap_or_default().iter().map(|sink| sink.settings.name.as_str());
    let is_unknown = |name: &&Located<String>| sinks.is_some() && !known().any(|known| known == name.value);
    for name in named.iter().filter(is_unknown) {
        let hint =
            did_you_mean(name, known()).unwrap_or_else(|| "name sinks of this configuration".to_owned());
        let message = format!("there is no sink '{}'", name.value.escape_debug());
        found.push(section.source().error(&name.span, message, Some(hint)));
    }
    let sinks = named.into_iter().map(|name| name.value).collect();
    let covers = Covers { host, service, rule, sinks, reason: reason.unwrap_or_default() };
    if let Some((key, value)) = covers.empty().and_then(|key| Some((key, section.get(key)?))) {
        let hint = format!("write names, such as {key} = \"a*\", or leave '{key}' out to mute them all");
        let message = format!("'{key}' is empty, and no name is: the mute covers nothing");
        found.push(section.source().error(&value.span(), message, Some(hint)));
    }
    let always = hours::KEYS[..3].iter().all(|key| section.get(key).is_none());
    if covers.is_everything() && always {
        found.push(section.error(
            "[[mute]] mutes everything for ever",
            "say what, such as host = \"core-*\", or when, such as days = \"sat-sun\"",
        ));
    }
    section.finish(found);
    Some(Configured { covers, hours: hours? })
}
