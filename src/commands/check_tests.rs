//! What people get wrong in their first hour, and what they are told: each message names the place and what to do.

use super::*;

#[test]
fn the_tests_of_own_rules_are_said_to_be_theirs() {
    let said = |rules, own, tests| {
        Summary { rules, own, tests, modules: 9, hosts: 2, sinks: 1, engine: None }.text()
    };
    let rest = ", 9 MIB modules, 2 hosts, 1 sinks";
    assert_eq!(said(600, 0, 900), format!("600 rules with 900 tests{rest}"));
    assert_eq!(said(3, 3, 5), format!("3 rules with 5 tests{rest}"));
    assert_eq!(said(603, 3, 5), format!("603 rules, 3 of them your own with 5 tests{rest}"));
    assert_eq!(said(601, 1, 0), format!("601 rules, 1 of them your own with 0 tests{rest}"));
}

/// Configurations with one mistake each.
const CONFIGURATIONS: [(&str, &str); 15] = [
    ("a misspelt section", "[smnp]\nlisten = [\"127.0.0.1:1162\"]\n"),
    ("a misspelt key", "[snmp]\nlisen = [\"127.0.0.1:1162\"]\n"),
    ("a port alone", "[snmp]\nlisten = [1162]\n"),
    ("an address without a port", "[snmp]\nlisten = [\"0.0.0.0\"]\n"),
    ("one address twice", "[syslog]\nlisten = [\"tcp://127.0.0.1:1514\", \"tcp://127.0.0.1:1514\"]\n"),
    (
        "a password that is too short",
        "[[snmp.users]]\nname = \"ops\"\nauth = \"SHA-256\"\nauth_password = \"short\"\n",
    ),
    (
        "a protocol that is misspelt",
        "[[snmp.users]]\nname = \"ops\"\nauth = \"SHA265\"\nauth_password = \"long enough\"\n",
    ),
    (
        "privacy without authentication",
        "[[snmp.users]]\nname = \"ops\"\npriv = \"AES-128\"\npriv_password = \"long enough\"\n",
    ),
    ("a network that is none", "[snmp]\nallow = [\"192.0.2.0/33\"]\n"),
    ("a type of sink that is misspelt", "[[sinks]]\ntype = \"nagois\"\ncommand_file = \"nagios.cmd\"\n"),
    ("a sink without what it needs", "[[sinks]]\ntype = \"nagios\"\n"),
    (
        "two sinks of one name",
        "[[sinks]]\ntype = \"file\"\npath = \"a\"\n[[sinks]]\ntype = \"file\"\npath = \"b\"\n",
    ),
    ("one bracket too few", "[sinks]\ntype = \"file\"\npath = \"a\"\n"),
    ("a size without a unit that is known", "[journal]\nmax_size = \"1 gigabyte\"\n"),
    ("a pack that is misspelt", "[rules]\npacks = [\"if-mbi\"]\n"),
];

/// Rule files with one mistake each.
const RULES: [(&str, &str); 14] = [
    ("state-misspelt", "trap = \"IF-MIB::linkDown\"\n[rule.check]\nservice = \"S\"\nstate = \"critcal\"\n"),
    ("state-short", "trap = \"IF-MIB::linkDown\"\n[rule.check]\nservice = \"S\"\nstate = \"crit\"\n"),
    (
        "state-unquoted",
        "trap = \"IF-MIB::linkDown\"\n[rule.check]\nservice = \"S\"\nstate = \"ok if ifIndex == 1 else 'critical'\"\n",
    ),
    (
        "state-constant",
        "trap = \"IF-MIB::linkDown\"\n[rule.check]\nservice = \"S\"\nstate = \"'down' if ifIndex == 1 else 'ok'\"\n",
    ),
    (
        "one-equals-sign",
        "trap = \"IF-MIB::linkDown\"\nwhere = \"ifIndex = 3\"\n[rule.check]\nservice = \"S\"\nstate = \"ok\"\n",
    ),
    ("a-trap-of-no-module", "trap = \"IF-MIB::linkDwon\"\n[rule.check]\nservice = \"S\"\nstate = \"ok\"\n"),
    (
        "a-variable-of-no-module",
        "trap = \"IF-MIB::linkDown\"\n[rule.check]\nservice = \"{{ ifDesrc }}\"\nstate = \"ok\"\n",
    ),
    (
        "a-value-that-never-is",
        "trap = \"IF-MIB::linkDown\"\nwhere = \"ifOperStatus == 'dwon'\"\n[rule.check]\nservice = \"S\"\nstate = \"ok\"\n",
    ),
    (
        "a-network-that-is-none",
        "trap = \"IF-MIB::linkDown\"\nfrom = [\"192.0.2.0/33\", \"10.0.0.256\"]\n[rule.check]\nservice = \"S\"\nstate = \"ok\"\n",
    ),
    (
        "a-method",
        "trap = \"IF-MIB::linkDown\"\n[rule.check]\nservice = \"{{ ifDescr.split(',')[0] }}\"\nstate = \"ok\"\n",
    ),
    ("a-backslash", "syslog = { message = \"port \\S+\" }\n[rule.check]\nservice = \"S\"\nstate = \"ok\"\n"),
    ("look-around", "syslog = { message = '(?!x)y' }\n[rule.check]\nservice = \"S\"\nstate = \"ok\"\n"),
    ("neither-trap-nor-syslog", "[rule.check]\nservice = \"S\"\nstate = \"ok\"\n"),
    (
        "a-test-that-expects-nonsense",
        "trap = \"IF-MIB::linkDown\"\n[rule.check]\nservice = \"S\"\nstate = \"ok\"\n[[rule.test]]\ntrap = \"IF-MIB::linkDown\"\nexpect = { state = \"critcal\" }\n",
    ),
];

fn found(path: &Path, folder: &Path) -> String {
    let checked = one(Some(path), &[], true);
    let text: String = checked.found.iter().map(Diagnostics::to_text).collect();
    text.replace(&format!("{}/", folder.display()), "")
}

#[test]
fn mistakes_in_configurations() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trapline.toml");
    let mut all = String::new();
    for (what, text) in CONFIGURATIONS {
        std::fs::write(&path, text).unwrap();
        let said = found(&path, folder.path());
        assert!(said.contains("error: "), "{what}: {said}");
        let errors = said.lines().filter(|line| !line.contains(": warning: "));
        all += &format!("{what}\n{}\n\n", errors.collect::<Vec<_>>().join("\n"));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn mistakes_in_rules() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trapline.toml");
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    for (name, text) in RULES {
        std::fs::write(
            folder.path().join(format!("rules/{name}.toml")),
            format!("[[rule]]\nid = \"{name}\"\n{text}"),
        )
        .unwrap();
    }
    std::fs::write(
        &path,
        "[snmp]\nrelays = []\n[mibs]\npaths = []\n[rules]\npacks = []\npaths = [\"rules\"]\n",
    )
    .unwrap();
    let said = found(&path, folder.path());
    for (name, _) in RULES {
        assert!(said.contains(&format!("{name}.toml:")), "{name}: {said}");
    }
    insta::assert_snapshot!(said);
}
