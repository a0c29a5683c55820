use std::net::IpAddr;
use std::path::Path;

use crate::config::Config;
use crate::intake::letting_in::{Refusal, Toml};
use crate::intake::listener::Protocol;
use crate::message::{Notification, NotificationKind, Oid, Security, SecurityLevel, Source, Version};
use crate::snmp::access::knows;
use crate::snmp::usm::UsmError;

const FROM: &str = "198.51.100.7";

fn notification<'n>(version: Version, community: &'n [u8], user: Option<&'n str>) -> Notification<'n> {
    let security = user.map(|user| Security {
        user,
        level: SecurityLevel::AuthPriv,
        context: b"",
        engine: b"",
        relay: false,
        of_engine: true,
    });
    Notification {
        version,
        kind: NotificationKind::Trap,
        community,
        proxied_community: None,
        security,
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

fn load(directory: &Path, text: &str) -> Config {
    let file = directory.join("trapline.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(&file).unwrap_or_else(|found| panic!("{}\n{text}", found.to_text())).0
}

/// The configuration with what the advice says, as somebody would write it there.
fn applied(text: &str, toml: &Toml) -> String {
    let Some(table) = toml.table else { return format!("{text}{}\n", toml.lines) };
    let key = toml.lines.split(' ').next().unwrap();
    let (before, after) = text.split_once(&format!("{table}\n")).unwrap();
    let rest: String =
        after.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect();
    format!("{before}{table}\n{}\n{rest}", toml.lines)
}

fn advice(why: &Refusal, config: &Config) -> Option<Toml> {
    why.advice(FROM.parse().unwrap(), &config.snmp.access, config.syslog.allow.as_deref()).toml
}

#[test]
fn what_is_advised_lets_the_sender_in() {
    let from: IpAddr = FROM.parse().unwrap();
    let source = Source { peer: (from, 1).into(), received: 0 };
    let directory = tempfile::tempdir().unwrap();
    for (config, sent) in [
        ("[snmp]\nallow = [\"10.0.0.0/8\", \"2001:db8::1\"]\n", notification(Version::V2c, b"public", None)),
        ("[snmp]\nallow = []\n", notification(Version::V1, b"", None)),
        ("[snmp]\nversions = [\"3\"]\n", notification(Version::V1, b"x", None)),
        ("[snmp]\nversions = [\"1\", \"2c\"]\n", notification(Version::V3, b"", Some("ops"))),
        ("[snmp]\ncommunities = [\"secret\"]\n", notification(Version::V2c, b"public", None)),
        (
            "[snmp]\nrelays = []\n[[snmp.access]]\ncommunities = [\"a\"]\n",
            notification(Version::V2c, b"b", None),
        ),
        (
            "[snmp]\nrelays = []\n[[snmp.access]]\nfrom = [\"10.0.0.0/8\"]\n",
            notification(Version::V3, b"", Some("a \"user\"")),
        ),
    ] {
        let before = load(directory.path(), config);
        let denied = before.snmp.access.admit(&sent, &source).unwrap_err();
        let toml = advice(&Refusal::of_notification(denied, &sent), &before).unwrap();
        let after = load(directory.path(), &applied(config, &toml));
        assert!(after.snmp.access.admit(&sent, &source).is_ok(), "{config}{toml:?}");
        // Whoever was let in before is so still.
        assert!(before.snmp.access.allow.iter().flatten().all(|net| after.snmp.access.knows(net.addr())));
    }
    let config = "[syslog]\nallow = [\"10.0.0.0/8\"]\n";
    let before = load(directory.path(), config);
    let toml = advice(&Refusal::Source(Protocol::Syslog), &before).unwrap();
    let after = load(directory.path(), &applied(config, &toml));
    assert!(knows(after.syslog.allow.as_deref(), from));
    assert!(advice(&Refusal::Source(Protocol::Syslog), &after).is_none(), "it may by now");
}

#[test]
fn users_that_are_advised_are_users() {
    let directory = tempfile::tempdir().unwrap();
    for end in ["auth", "priv"] {
        std::fs::write(directory.path().join(format!("the-ops.{end}")), "a long password").unwrap();
    }
    let user = || "the ops".to_owned();
    for why in [
        Refusal::NoUsers(Some("the ops".into())),
        Refusal::V3(UsmError::User(user())),
        Refusal::V3(UsmError::Bound { user: user(), engine: "80001f8804747261706c".to_owned() }),
    ] {
        let config = "[snmp]\nrelays = []\n";
        let toml = advice(&why, &load(directory.path(), config)).unwrap();
        let after = load(directory.path(), &applied(config, &toml));
        assert_eq!(after.snmp.users.len(), 1, "{toml:?}");
    }
}

#[test]
fn no_community_is_shown() {
    let config = Config::default();
    for (community, shown) in [
        (&b"public"[..], "public"),
        (b"a secret", "one of 8 octets"),
        (b"", "an empty one"),
        (b"\xff", "one of 1 "),
    ] {
        let denied = crate::snmp::access::Denied::Community;
        let why = Refusal::of_notification(denied, &notification(Version::V2c, community, None));
        let advice = why.advice(FROM.parse().unwrap(), &config.snmp.access, None);
        assert!(advice.words.contains(shown), "{}", advice.words);
        let all = format!("{why:?}{advice:?}");
        assert!(community == b"public" || !all.contains("secret"), "{all}");
    }
}
