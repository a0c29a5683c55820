//! `[[snmp.access]]`: who may reach which rules.

use ipnet::IpNet;

use super::read::{network, parse_all};
use crate::access::Grant;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, did_you_mean};
use crate::document::{Located, Section};
use crate::message::{SecurityLevel, Version};

/// A tag, and what is said where no rule has it.
#[derive(Debug, Clone)]
pub struct TagUse {
    /// The tag.
    pub tag: String,
    /// The warning; its hint is for whoever knows the tags of the rules.
    pub warning: Diagnostic,
}

/// Reads one grant, and the tags that it speaks of.
pub(super) fn grant(section: Section<'_, '_>, found: &mut Diagnostics, tags: &mut Vec<TagUse>) -> Grant {
    let texts = |key, found: &mut Diagnostics| {
        let all = section.strings(key, found)?;
        Some(all.into_iter().map(|text| text.value).collect::<Vec<_>>())
    };
    let octets = |key, found: &mut Diagnostics| {
        texts(key, found).map(|all| all.into_iter().map(String::into_bytes).collect())
    };
    let level = section.string("level", found).and_then(|text| level(&section, &text, found));
    let from: Option<Vec<IpNet>> =
        section.strings("from", found).map(|all| parse_all(&section, all, network, found));
    let named = section.strings("tags", found);
    for tag in named.iter().flatten() {
        let message = format!("no rule has the tag '{}'", tag.value);
        let error = section.source().error(&tag.span, message, None);
        let warning = Diagnostic { severity: Severity::Warning, ..error };
        tags.push(TagUse { tag: tag.value.clone(), warning });
    }
    let grant = Grant {
        users: texts("users", found),
        level,
        contexts: octets("contexts", found),
        communities: octets("communities", found),
        from,
        tags: named.map(|all| all.into_iter().map(|tag| tag.value).collect()),
    };
    section.finish(found);
    grant
}

fn level(
    section: &Section<'_, '_>,
    text: &Located<String>,
    found: &mut Diagnostics,
) -> Option<SecurityLevel> {
    let level = SecurityLevel::from_word(text);
    if level.is_none() {
        let words = SecurityLevel::ALL.map(SecurityLevel::as_str);
        let hint = did_you_mean(text, words).unwrap_or_else(|| format!("one of {}", words.join(", ")));
        let message = format!("'{}' is no security level", text.value);
        found.push(section.source().error(&text.span, message, Some(hint)));
    }
    level
}

/// Reads a version of SNMP.
pub(super) fn version(text: &str) -> Result<Version, String> {
    let all = [Version::V1, Version::V2c, Version::V3];
    all.into_iter()
        .find(|version| version.as_str() == text)
        .ok_or_else(|| format!("'{text}' is no version of SNMP; write \"1\", \"2c\" or \"3\""))
}
