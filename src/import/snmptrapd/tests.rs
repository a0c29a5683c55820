use super::{Imported, import};
use crate::config::Config;

fn imported(text: &str) -> Imported {
    import(&[("snmptrapd.conf".to_owned(), text.to_owned())])
}

/// Whatever is made can be loaded.
fn config(imported: &Imported) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trapline.toml");
    std::fs::write(&path, &imported.text).unwrap();
    let loaded = Config::load(&path);
    loaded.unwrap_or_else(|found| panic!("{}\n{}", found.to_text(), imported.text)).0
}

const REAL: &str = r#"# a real one
[snmptrapd]
snmpTrapdAddr udp:162,udp6:[::]:162,tcp:192.0.2.1:1162,unix:/run/x
authCommunity log,execute,net public
authCommunity log core 192.0.2.0/255.255.255.0
authCommunity log named router.example
authCommunity log viewed default .1.3.6.1.4.1
createUser ops SHA-256 "my pass phrase" AES
createUser -e 0x80001f8804747261706c696e65 sw1 MD5 swordfish1 DES swordfish2
createUser odd ROT13 swordfish1
authUser log,execute ops priv
authUser log -s usm ghost
traphandle default /usr/sbin/snmptthandler
traphandle .1.3.6.1.4.1.9 /opt/site/page.sh fast
forward default udp:192.0.2.7:162
perl do "/usr/share/snmptt/snmptthandler-embedded";
format2 %V\n
disableAuthorization no
doNotLogTraps yes
mibdirs +/opt/mibs:/srv/mibs
wat 1
authUser log sw1 noauth
"#;

#[test]
fn users_communities_and_addresses_are_carried_over() {
    let made = imported(REAL);
    assert_eq!((made.users, made.communities), (2, 3));
    let config = config(&made);
    assert_eq!(config.snmp.users.len(), 2);
    assert_eq!(config.mib_paths.len(), 2);
    for line in [
        "listen = [\"0.0.0.0:162\", \"[::]:162\", \"tcp://192.0.2.1:1162\"]",
        "communities = [\"core\", \"public\", \"viewed\"]",
        "auth = \"SHA-256\"\nauth_password = \"my pass phrase\"\npriv = \"AES-128\"\npriv_password = \"my pass phrase\"",
        "engine = \"0x80001f8804747261706c696e65\"\nauth = \"MD5\"",
        "communities = [\"core\"]\nfrom = [\"192.0.2.0/24\"]",
        "users = [\"ops\"]\nlevel = \"authPriv\"",
    ] {
        assert!(made.text.contains(line), "{line}\n{}", made.text);
    }
    // A source that cannot be carried over lets nobody in.
    assert!(!made.text.contains("named"));
}

#[test]
fn what_is_left_out_is_named_for_a_human() {
    let said = imported(REAL).left_out.to_text();
    for part in [
        ":3:1: warning: address 'unix:/run/x' left out",
        ":6:1: warning: community 'named' left out, as its source 'router.example' is no address",
        ":7:1: warning: the restriction to '.1.3.6.1.4.1' left out",
        ":10:1: warning: user 'odd' left out: unknown authentication protocol 'ROT13'",
        ":12:1: warning: authUser 'ghost' has no createUser line here",
        ":13:1: warning: traphandle for all traps left out: Trapline runs no programs. /usr/sbin/snmptthandler is snmptt: run",
        ":14:1: warning: traphandle for .1.3.6.1.4.1.9 left out: Trapline runs no programs. /opt/site/page.sh fast is a program of yours",
        ":15:1: warning: forward of all traps to udp:192.0.2.7:162 left out",
        ":16:1: warning: Perl left out: Trapline runs no programs. This is snmptt",
        ":17:1: warning: format2 left out: the rules write the texts",
        ":19:1: warning: doNotLogTraps left out: rules say what becomes of traps",
        ":21:1: warning: wat left out: unknown directive",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert_eq!(said.lines().count(), 12, "{said}");
}

/// Each directive is carried over or listed.
#[test]
fn no_directive_goes_without_a_word() {
    for directive in [
        "doNotLogTraps yes",
        "doNotRetainNotificationLogs yes",
        "doNotFork yes",
        "pidFile /run/p",
        "agentXSocket /run/x",
        "persistentDir /var/x",
        "dontLogTCPWrappersConnects yes",
        "agentuser u",
        "agentgroup g",
        "clientaddr 192.0.2.1",
        "defVersion 2c",
        "defSecurityName u",
        "defContext c",
        "defLevel auth",
        "format1 x",
        "outputOption n",
        "logOption f x",
        "engineID x",
        "ignoreAuthFailure yes",
        "wat",
    ] {
        let said = imported(&format!("authCommunity log public\n{directive}\n")).left_out.to_text();
        let name = directive.split(' ').next().unwrap();
        assert!(
            said.contains(&format!(":2:1: warning: {name} left out: ")) && said.lines().count() == 1,
            "{said}"
        );
    }
}

#[test]
fn persistent_users_have_localised_keys() {
    let made = imported(
        "usmUser 1 3 0x80001f8880e9630000d61ff449 0x6f707300 \"ops\" NULL .1.3.6.1.6.3.10.1.1.2 0x91B2D0A2C8B1A4D5E6F708192A3B4C5D .1.3.6.1.6.3.10.1.2.2 0x91B2D0A2C8B1A4D5E6F708192A3B4C5D 0x\nauthUser log ops\n",
    );
    assert_eq!(made.left_out.to_text(), "");
    assert!(made.text.contains(
        "name = \"ops\"\nengine = \"0x80001f8880e9630000d61ff449\"\nauth = \"MD5\"\nauth_key = \"91b2"
    ));
    assert_eq!(config(&made).snmp.users.len(), 1);
}

#[test]
fn without_communities_only_v3_is_accepted() {
    assert!(
        imported("createUser ops SHA swordfish1 AES\nauthUser log ops\n").text.contains("versions = [\"3\"]")
    );
    let open = imported("disableAuthorization yes\n");
    assert!(!open.text.contains("versions") && !open.text.contains("communities"));
}

/// What lets whom in: with `createUser alice`, `createUser bob` and these lines, the users, communities and accesses (as
/// `who level from`) that are made, and the lines that are said to be left out.
#[test]
fn nobody_is_let_in_whom_snmptrapd_refuses() {
    type Case = (
        &'static str,
        &'static [&'static str],
        Option<&'static [&'static str]>,
        &'static [&'static str],
        &'static [usize],
    );
    let before = "createUser alice SHA password-a AES\ncreateUser bob SHA password-b AES\n";
    let cases: &[Case] = &[
        ("", &[], None, &[], &[1, 2]),
        ("authUser log alice priv", &["alice"], None, &["alice AuthPriv"], &[2]),
        (
            "authUser log alice\nauthUser log bob noauth",
            &["alice", "bob"],
            None,
            &["alice AuthNoPriv", "bob NoAuthNoPriv"],
            &[],
        ),
        ("authCommunity log public", &[], Some(&["public"]), &["public"], &[1, 2]),
        (
            "authCommunity log public\nauthUser log bob priv",
            &["bob"],
            Some(&["public"]),
            &["public", "bob AuthPriv"],
            &[1],
        ),
        ("authCommunity log public 192.0.2.1", &[], Some(&["public"]), &["public 192.0.2.1/32"], &[1, 2]),
        ("authGroup log ops\ngroup ops usm bob", &[], None, &[], &[1, 2, 3, 4]),
        // Sections: by themselves for the lines behind them, before a directive for its line.
        (
            "[snmpd]\nauthUser log bob\n[snmptrapd]\nauthUser log alice",
            &["alice"],
            None,
            &["alice AuthNoPriv"],
            &[2, 4],
        ),
        ("[snmpd]\nauthCommunity log a\ndisableAuthorization yes", &[], None, &[], &[1, 2, 4, 5]),
        ("[snmpd] disableAuthorization yes\nauthCommunity log a", &[], Some(&["a"]), &["a"], &[1, 2, 3]),
        (
            "[snmpd]\n[snmptrapd] authCommunity log a\nauthCommunity log b",
            &[],
            Some(&["a"]),
            &["a"],
            &[1, 2, 5],
        ),
        ("[snmpd] [snmptrapd] authUser log bob", &[], None, &[], &[1, 2, 3]),
        ("[snmptrapd\nauthUser log bob", &[], None, &[], &[1, 2, 4]),
        ("[SNMPTRAPD]\nauthUser log bob", &[], None, &[], &[1, 2, 4]),
        // Types: what is only forwarded is not processed, and what is no type grants nothing.
        ("authCommunity net a\nauthUser net alice priv", &[], None, &[], &[1, 2, 3, 4]),
        ("authCommunity bogus a\nauthUser bogus bob", &[], None, &[], &[1, 2, 3, 3, 4, 4]),
        ("authCommunity LOG a\nauthCommunity read,write,notify b", &[], None, &[], &[1, 2, 3, 3, 4]),
        ("authCommunity \"\" a\nauthCommunity , b\nauthUser log -s usm", &[], None, &[], &[1, 2, 3, 4, 5]),
        (
            "authCommunity log,bogus a\nauthCommunity net,execute b\nauthCommunity read|log c\nauthUser net:log bob",
            &["bob"],
            Some(&["a", "b", "c"]),
            &["a", "b", "c", "bob AuthNoPriv"],
            &[1, 3],
        ),
        // A source or level of what is not granted needs no word.
        ("authCommunity net a router.example .1.3", &[], None, &[], &[1, 2, 3]),
        ("[snmp]\nmibdirs /m\nauthUser log bob\ndisableAuthorization yes", &[], None, &[], &[1, 2, 5, 6]),
    ];
    for (lines, users, communities, accesses, left_out) in cases {
        let made = imported(&format!("{before}{lines}\n"));
        let config = config(&made);
        let names: Vec<&str> = config.snmp.users.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, *users, "{lines}");
        let access = &config.snmp.access;
        let text = |octets: &Vec<u8>| String::from_utf8_lossy(octets).into_owned();
        let known = access.communities.as_ref().map(|all| all.iter().map(text).collect::<Vec<_>>());
        assert_eq!(known, communities.map(|all| all.iter().map(|c| (*c).to_owned()).collect()), "{lines}");
        // Without communities no version has them.
        assert_eq!(access.versions.as_ref().map(Vec::len), communities.is_none().then_some(1), "{lines}");
        let grants = access.grants.iter().map(|grant| {
            let mut words = grant.users.clone().unwrap_or_default();
            words.extend(grant.communities.iter().flatten().map(text));
            words.extend(grant.level.map(|level| format!("{level:?}")));
            words.extend(grant.from.iter().flatten().map(ToString::to_string));
            words.join(" ")
        });
        assert_eq!(grants.collect::<Vec<_>>(), *accesses, "{lines}");
        let said = made.left_out.to_text();
        let mut places: Vec<usize> = said
            .lines()
            .map(|line| line.split(':').nth(1).and_then(|at| at.parse().ok()).unwrap_or_default())
            .collect();
        places.sort_unstable();
        assert_eq!(places, *left_out, "{lines}\n{said}");
    }
    // Another file begins without a section.
    let files = [("a", "[snmpd]\nauthCommunity log a\n"), ("b", "authCommunity log b\n")];
    let made = import(&files.map(|(name, text)| (name.to_owned(), text.to_owned())));
    assert!(made.text.contains("communities = [\"b\"]"), "{}", made.text);
    // All are let in where all are in snmptrapd.
    let open = imported(&format!("{before}disableAuthorization yes\nauthUser log alice\n"));
    assert_eq!(open.users, 2);
    assert!(!open.text.contains("[[snmp.access]]"));
}

/// What `trapline check` would refuse is left out, with the reason.
#[test]
fn users_that_the_configuration_cannot_have_are_left_out() {
    for (line, why) in [
        ("createUser weak MD5 short", "passwords have 8 characters or more"),
        ("createUser weak MD5 long-enough AES short", "passwords have 8 characters or more"),
        ("createUser -e 0x80 weak SHA -l 0x1234", "an authentication key has 20 octets, not 2"),
        ("createUser -e 0x80 weak SHA -l wat", "'auth_key' must be 1 to 64 octets in hex"),
        ("createUser -e engine weak SHA long-enough", "'engine' must be 1 to 32 octets in hex"),
        ("createUser good SHA long-enough", "there is already a user 'good' for the same engine"),
    ] {
        let name = line.split(' ').find(|word| ["weak", "good"].contains(word)).unwrap();
        let made = imported(&format!(
            "createUser good SHA swordfish1\nauthUser log good\n{line}\nauthUser log {name}\n"
        ));
        assert_eq!((made.users, config(&made).snmp.users.len()), (1, 1), "{line}\n{}", made.text);
        let said = made.left_out.to_text();
        assert!(said.contains(&format!(":3:1: warning: user '{name}' left out: ")), "{line}\n{said}");
        assert!(said.contains(why) && said.lines().count() == 1, "{line}\n{said}");
    }
}

proptest::proptest! {
    // Each user costs keys, which are slow to make on purpose.
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_is_made_can_be_loaded(
        user in "[a-z'\"\\\\ ]{0,36}", secret in "[a-z0-9'\"\\\\# ]{0,12}", community in "[a-z0-9'\"\\\\{}]{0,8}",
        source in "(default|192\\.0\\.2\\.[0-9]{1,2}(/(24|32|255\\.255\\.0\\.0))?|x)",
        auth in "(MD5|SHA|SHA-512|X)", privacy in "(DES|AES|AES256|)", rest in "[ -~]{0,30}",
    ) {
        let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let made = imported(&format!(
            "createUser {} {auth} {} {privacy}\nauthCommunity log {} {source}\nauthUser log {}\n{rest}\n",
            quote(&user), quote(&secret), quote(&community), quote(&user),
        ));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trapline.toml");
        std::fs::write(&path, &made.text).unwrap();
        let loaded = Config::load(&path);
        proptest::prop_assert!(loaded.is_ok(), "{}\n{}", loaded.unwrap_err().to_text(), made.text);
    }
}
