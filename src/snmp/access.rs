//! Who may send notifications, and which rules they may reach. One place; pure.

use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;

use crate::message::{Notification, SecurityLevel, Source, Version};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity, SourceText, did_you_mean};
use crate::settings::section::{Located, Section};
use crate::settings::values::{allowed, network, parse_all};

/// Who may send.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Senders that are let in; none for all.
    pub allow: Option<Vec<IpNet>>,
    /// Versions that are let in; none for all.
    pub versions: Option<Vec<Version>>,
    /// Communities that are let in; none for any.
    pub communities: Option<Vec<Vec<u8>>>,
    /// Who of these may reach which rules; empty for all of both.
    pub grants: Vec<Grant>,
    /// Senders that may speak for other hosts; none for all.
    pub relays: Option<Vec<IpNet>>,
}

/// `[[snmp.access]]`: some senders, and the rules that they may reach. A condition that is left out always matches.
#[derive(Debug, Clone, Default)]
pub struct Grant {
    /// Users of v3.
    pub users: Option<Vec<String>>,
    /// The least security of v3.
    pub level: Option<SecurityLevel>,
    /// contextName of v3.
    pub contexts: Option<Vec<Vec<u8>>>,
    /// Communities of v1 and v2c.
    pub communities: Option<Vec<Vec<u8>>>,
    /// Networks that the sender is in.
    pub from: Option<Vec<IpNet>>,
    /// The tags of the rules that may be reached; none for all rules.
    pub tags: Option<Vec<String>>,
}

/// Why a notification is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Its sender is not in `allow`.
    #[error(
        "a notification from a sender that is not let in; add its network to [snmp] allow if it should be"
    )]
    Source,
    /// Its version is switched off.
    #[error(
        "a notification of SNMP version {}, which [snmp] versions leaves out; let the device use another, or add it", .0.as_str()
    )]
    Version(Version),
    /// Its community is none of those that are let in.
    #[error(
        "a notification with a community that is not let in; correct it on the device or add it to [snmp] communities"
    )]
    Community,
    /// No grant is for it.
    #[error(
        "a notification that no [[snmp.access]] is for; compare its user, level, community, context and sender with them"
    )]
    Grant,
}

/// Which rules a notification may reach; all, unless a grant says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach(Option<usize>);

impl Denied {
    /// The word by which refusals are counted.
    pub fn reason(self) -> &'static str {
        match self {
            Denied::Source => "wrong_source",
            Denied::Version(_) => "version_off",
            Denied::Community => "wrong_community",
            Denied::Grant => "no_access",
        }
    }
}

impl Access {
    /// Whether an address may send at all.
    pub fn knows(&self, address: IpAddr) -> bool {
        knows(self.allow.as_deref(), address)
    }

    /// The tags of the rules that may be reached; none for all rules.
    pub fn tags(&self, reach: Reach) -> Option<&[String]> {
        self.grants.get(reach.0?)?.tags.as_deref()
    }

    /// Whether the sender of a notification may name another host as its agent: it is listed as a relay, or an authenticated
    /// user of v3 who is one.
    #[inline]
    pub fn is_relay(&self, notification: &Notification<'_>, source: &Source) -> bool {
        let listed = |nets: &Vec<IpNet>| nets.iter().any(|net| net.contains(&source.address()));
        let user = notification.security.is_some_and(|v3| v3.relay && v3.level >= SecurityLevel::AuthNoPriv);
        user || self.relays.as_ref().is_none_or(listed)
    }

    /// Which rules a notification may reach.
    ///
    /// # Errors
    ///
    /// Why it is not let in.
    pub fn admit(&self, notification: &Notification<'_>, source: &Source) -> Result<Reach, Denied> {
        if !self.knows(source.address()) {
            return Err(Denied::Source);
        }
        let version = notification.version;
        if !self.versions.as_ref().is_none_or(|all| all.contains(&version)) {
            return Err(Denied::Version(version));
        }
        let community = notification.community;
        if notification.security.is_none()
            && !self.communities.as_ref().is_none_or(|all| same_as_one(all, community))
        {
            return Err(Denied::Community);
        }
        if self.grants.is_empty() {
            return Ok(Reach(None));
        }
        let grant = self.grants.iter().position(|grant| grant.is_for(notification, source));
        grant.map(|at| Reach(Some(at))).ok_or(Denied::Grant)
    }
}

impl Grant {
    fn is_for(&self, notification: &Notification<'_>, source: &Source) -> bool {
        let address = source.address();
        if !knows(self.from.as_deref(), address) {
            return false;
        }
        let of_v3 = self.users.is_some() || self.level.is_some() || self.contexts.is_some();
        match &notification.security {
            Some(v3) => {
                let named = match &self.users {
                    Some(users) => users.iter().any(|user| user == v3.user),
                    // For communities alone, unless something of v3 is said too.
                    None => of_v3 || self.communities.is_none(),
                };
                named
                    && self.level.is_none_or(|least| v3.level >= least)
                    && self.contexts.as_ref().is_none_or(|all| all.iter().any(|c| c == v3.context))
            }
            None => match &self.communities {
                Some(all) => same_as_one(all, notification.community),
                None => !of_v3,
            },
        }
    }
}

/// Whether an address is in one of these networks; none are all.
pub fn knows(networks: Option<&[IpNet]>, address: IpAddr) -> bool {
    networks.is_none_or(|nets| nets.iter().any(|net| net.contains(&address)))
}

/// Compares with all communities in a time that does not depend on where they differ.
fn same_as_one(all: &[Vec<u8>], community: &[u8]) -> bool {
    let same = |known: &[u8]| {
        let difference = known.iter().zip(community).fold(0, |d, (a, b)| d | (a ^ b));
        known.len() == community.len() && std::hint::black_box(difference) == 0
    };
    all.iter().fold(false, |found, known| found | same(known))
}

/// A tag, and what is said where no rule has it.
#[derive(Debug, Clone)]
pub struct TagUse {
    /// The tag.
    pub tag: String,
    /// The warning; its hint is for whoever knows the tags of the rules.
    pub warning: Diagnostic,
}

/// Reads one grant, and the tags that it speaks of.
pub fn grant(section: Section<'_, '_>, found: &mut Diagnostics, tags: &mut Vec<TagUse>) -> Grant {
    let texts = |key, found: &mut Diagnostics| {
        let all = allowed(&section, key, found)?;
        Some(all.into_iter().map(|text| text.value).collect::<Vec<_>>())
    };
    let octets = |key, found: &mut Diagnostics| {
        texts(key, found).map(|all| all.into_iter().map(String::into_bytes).collect())
    };
    let words = SecurityLevel::ALL.map(SecurityLevel::as_str);
    let level = section.one_of("level", &words, found).and_then(|text| level(&section, &text, found));
    let from: Option<Vec<IpNet>> =
        allowed(&section, "from", found).map(|all| parse_all(&section, all, network, found));
    let named = allowed(&section, "tags", found);
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

/// What is said where the configuration does not tell which senders are relays; `span` is the place of `[snmp]`, if that is written.
pub fn without_relays(source: &SourceText<'_>, span: Option<&Range<usize>>) -> Diagnostic {
    let what = "every sender may name another host by the agent address of a v1 trap or snmpTrapAddress";
    believes_all("snmp", what, source.file, span.map(|span| source.place(span.start)))
}

/// The same of a section by its name, and what it lets senders do.
pub fn believes_all(section: &str, what: &str, file: &str, place: Option<(usize, usize)>) -> Diagnostic {
    let (message, hint) = match place {
        Some(_) => (
            format!("without 'relays' in [{section}], {what}"),
            "list the relays, relays = [\"192.0.2.10\"], or write relays = [] if there are none".to_owned(),
        ),
        None => (
            format!("there is no [{section}], and without 'relays' in it {what}"),
            format!(
                "add [{section}] with the relays, relays = [\"192.0.2.10\"], or with relays = [] if there are none"
            ),
        ),
    };
    Diagnostic { severity: Severity::Warning, file: file.to_owned(), place, message, hint: Some(hint) }
}

/// Reads a version of SNMP.
pub fn version(text: &str) -> Result<Version, String> {
    let all = [Version::V1, Version::V2c, Version::V3];
    all.into_iter()
        .find(|version| version.as_str() == text)
        .ok_or_else(|| format!("'{text}' is no version of SNMP; write \"1\", \"2c\" or \"3\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{NotificationKind, Oid, Security};

    fn v2c(community: &'static str) -> Notification<'static> {
        Notification {
            version: Version::V2c,
            kind: NotificationKind::Trap,
            community: community.as_bytes(),
            proxied_community: None,
            security: None,
            request_id: 1,
            oid: Oid::from_arcs(&[1, 3]).unwrap(),
            enterprise: None,
            agent: None,
            generic: None,
            specific: None,
            uptime: None,
            varbinds: Vec::new(),
        }
    }

    fn v3(user: &'static str, level: SecurityLevel, context: &'static str) -> Notification<'static> {
        let security = Some(Security {
            user,
            level,
            context: context.as_bytes(),
            engine: b"",
            relay: false,
            of_engine: true,
        });
        Notification { version: Version::V3, security, ..v2c("") }
    }

    fn source(address: &str) -> Source {
        Source { peer: (address.parse::<IpAddr>().unwrap(), 1).into(), received: 0 }
    }

    fn list(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_first_grant_decides() {
        use SecurityLevel::{AuthNoPriv, AuthPriv};
        let access = Access {
            allow: Some(vec!["192.0.2.0/24".parse().unwrap()]),
            versions: Some(vec![Version::V2c, Version::V3]),
            communities: Some(vec![b"public".to_vec(), b"ups".to_vec()]),
            grants: vec![
                Grant {
                    communities: Some(vec![b"ups".to_vec()]),
                    tags: Some(list("power")),
                    ..Grant::default()
                },
                Grant {
                    users: Some(list("ops")),
                    level: Some(AuthPriv),
                    contexts: Some(vec![b"".to_vec()]),
                    ..Grant::default()
                },
                Grant {
                    from: Some(vec!["192.0.2.9/32".parse().unwrap()]),
                    tags: Some(list("a b")),
                    ..Grant::default()
                },
            ],
            relays: None,
        };
        let admit = |n: Notification<'_>, from: &str| {
            access.admit(&n, &source(from)).map(|reach| access.tags(reach).map(|t| t.join(" ")))
        };
        assert_eq!(admit(v2c("ups"), "192.0.2.1"), Ok(Some("power".into())));
        assert_eq!(admit(v2c("public"), "192.0.2.1"), Err(Denied::Grant));
        assert_eq!(admit(v2c("public"), "192.0.2.9"), Ok(Some("a b".into())));
        assert_eq!(admit(v2c("publix"), "192.0.2.9"), Err(Denied::Community));
        assert_eq!(admit(v2c("public"), "198.51.100.1"), Err(Denied::Source));
        let v1 = Notification { version: Version::V1, ..v2c("public") };
        assert_eq!(admit(v1, "192.0.2.9"), Err(Denied::Version(Version::V1)));
        assert_eq!(admit(v3("ops", AuthPriv, ""), "192.0.2.1"), Ok(None));
        assert_eq!(admit(v3("ops", AuthNoPriv, ""), "192.0.2.1"), Err(Denied::Grant), "below the level");
        assert_eq!(admit(v3("ops", AuthPriv, "vrf"), "192.0.2.1"), Err(Denied::Grant), "another context");
        assert_eq!(admit(v3("guest", AuthPriv, ""), "192.0.2.9"), Ok(Some("a b".into())));
    }

    #[test]
    fn listed_senders_and_authenticated_users_are_relays() {
        use SecurityLevel::{AuthNoPriv, NoAuthNoPriv};
        let of_user = |level, relay| {
            let mut notification = v3("ops", level, "");
            notification.security.as_mut().unwrap().relay = relay;
            notification
        };
        let networks = |all: &[&str]| Some(all.iter().map(|net| net.parse().unwrap()).collect());
        for (relays, notification, expected) in [
            (None, v2c("public"), true),
            (networks(&[]), v2c("public"), false),
            (networks(&["192.0.2.0/24"]), v2c("public"), true),
            (networks(&["198.51.100.0/24"]), v2c("public"), false),
            (networks(&[]), of_user(AuthNoPriv, true), true),
            (networks(&[]), of_user(AuthNoPriv, false), false),
            (networks(&[]), of_user(NoAuthNoPriv, true), false),
        ] {
            let access = Access { relays, ..Access::default() };
            assert_eq!(access.is_relay(&notification, &source("192.0.2.1")), expected, "{access:?}");
        }
    }

    #[test]
    fn an_empty_list_lets_nobody_in() {
        let from = source("192.0.2.1");
        let nobody = Access { allow: Some(Vec::new()), ..Access::default() };
        assert!(!nobody.knows(from.address()));
        assert_eq!(nobody.admit(&v2c("public"), &from), Err(Denied::Source));
        let nobody = Access { communities: Some(Vec::new()), ..Access::default() };
        assert_eq!(nobody.admit(&v2c("public"), &from), Err(Denied::Community));
        let nobody = Access { versions: Some(Vec::new()), ..Access::default() };
        assert_eq!(nobody.admit(&v2c("public"), &from), Err(Denied::Version(Version::V2c)));
        for grant in [
            Grant { from: Some(Vec::new()), ..Grant::default() },
            Grant { communities: Some(Vec::new()), ..Grant::default() },
        ] {
            let nobody = Access { grants: vec![grant], ..Access::default() };
            assert_eq!(nobody.admit(&v2c("public"), &from), Err(Denied::Grant));
        }
    }

    #[test]
    fn without_any_word_all_may() {
        let access = Access::default();
        assert_eq!(access.admit(&v2c("anything"), &source("203.0.113.1")), Ok(Reach::default()));
    }
}
