use super::*;
use crate::lookup::hosts::Hosts;
use crate::outcome::result::State;
use crate::rules::compile::{RuleFile, compile};
use crate::rules::testing;

fn imported(text: &str, options: &Options) -> Imported {
    let files = [("snmptt.conf".to_owned(), text.to_owned())];
    let read = |_: &str| Ok("10.9.0.0/16 barney\n".to_owned());
    import(&files, &read, &crate::mib::load::shipped_once(), options)
}

/// Whatever is made passes the check and its tests.
fn sound(imported: &Imported) {
    let file = RuleFile { name: "x.toml".into(), text: imported.text.as_str().into() };
    let compiled = compile(&[file], crate::mib::load::shipped_once());
    assert_eq!(compiled.found.to_text(), "", "{}", imported.text);
    let rules = compiled.rules.unwrap();
    assert_eq!(rules.rules().len(), imported.rules);
    let report = testing::run(&rules, &compiled.tests, &Hosts::default());
    assert_eq!(report.found.to_text(), "", "{}", imported.text);
}

#[test]
fn rules_and_what_is_left_out() {
    let text = r#"
EVENT linkDown .1.3.6.1.6.3.1.1.5.3 "Status Events" Major
FORMAT Link down on interface $1.  Admin state: $2.
EXEC /usr/lib/nagios/eventhandlers/submit_check_result $r "Interface $1" 2 "$Fz|state=$3"
EXEC echo "[$@] PROCESS_HOST_CHECK_RESULT;$aA;$3;$x $X" >> /var/lib/nagios/rw/nagios.cmd
EXEC qpage -f TRAP notifygroup1 "Link down"
NODES 192.0.2.0/24 fred
NODES /etc/snmptt-nodes
MATCH $2: (down)
MATCH $3: !1-2
MATCH MODE=and
REGEX (Link)(A "link")i
EVENT linkDown .1.3.6.1.6.3.1.1.5.3 "LOGONLY" Normal
FORMAT Other: $* {{ no }} $p1
EXEC submit_check_result $r TRAP 2 "never"
MATCH $1: 5
EVENT IfAny .1.3.6.1.6.3.1.1.5.* "IGNORE" Normal
FORMAT none
EVENT all .* "Status Events" Purple
FORMAT $N $i: $+* ($#)
PREEXEC /usr/bin/snmpget
EVENT up linkUp "Status Events" Purple
FORMAT up
EVENT nowhere linkSideways "Status Events" Normal
FORMAT x
EVENT look .1.3.6.1.4.1.1 "Status Events" Normal
FORMAT x
MATCH $1: ((?<!a)b)
REGEX (a)(b)e
REGEX nothing
EVENT empty .1.3.6.1.4.1.2 "Status Events" Normal
FROMAT x
"#;
    let options = Options { severities: vec![("purple".into(), State::Warning)], ..Options::default() };
    let made = imported(text, &options);
    sound(&made);
    insta::assert_snapshot!(format!("{}\n{}", made.text, made.left_out.to_text()));
    assert_eq!((made.events, made.rules), (8, 7));
}

#[test]
fn one_event_for_each_trap() {
    let text =
        "EVENT a .1.3.6.1.4.1.9.1 \"c\" Normal\nFORMAT a\nEVENT b .1.3.6.1.4.1.9.1 \"c\" Normal\nFORMAT b\n";
    let ini = Ini { multiple_event: false, ..Ini::default() };
    let made = imported(text, &Options { ini, ..Options::default() });
    sound(&made);
    assert_eq!(made.rules, 1);
    assert!(
        made.left_out
            .to_text()
            .contains("snmptt.conf:3:1: warning: EVENT 'b' left out: without multiple_event")
    );
    let made = imported(text, &Options::default());
    sound(&made);
    assert_eq!((made.rules, made.left_out.to_text().as_str()), (2, ""));
}

#[test]
fn oids_that_are_none() {
    let event = |oid: &str| format!("EVENT x {oid} \"c\" Normal\nFORMAT x\n");
    let made = imported(
        &[".1.*", ".1", ".1.3.99999999999", ".9.9.*", ".*"].map(event).concat(),
        &Options::default(),
    );
    sound(&made);
    assert_eq!((made.rules, made.left_out.len()), (2, 3), "{}", made.left_out.to_text());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(16))]

    /// Whatever a snmptt.conf says, what is made of it can be loaded.
    #[test]
    fn what_is_made_is_always_sound(
        name in "[a-z{}%'\"]{1,6}",
        oid in "(\\.[0-9]{1,11}){1,5}(\\.\\*)?",
        format in "([a-z ]|\\$[0-9*+#$-]|\\$[A-Za-z]|[{}%'\"\\\\|;]){0,12}",
        service in "([a-z ]|\\$[0-9ArNH]){1,6}",
        test in "(!)?(\\(([a-z.*+\\[\\]^$]|\\\\.){0,6}\\)i?|[0-9]{1,3}(-[0-9]{1,3})?|[<>&][0-9]{1,3}|10\\.0\\.0\\.[0-9]/?[0-9]?|[0-9,]{1,4})",
        regex in "\\([a-z$.()\\\\]{0,5}\\)\\([a-z$1()'\"]{0,5}\\)[gie]{0,2}",
        state in "[0-4]|\\$[1A]",
    ) {
        let text = format!(
            "EVENT {name} {oid} \"c\" Normal\nFORMAT {format}\nEXEC submit_check_result $r \"{service}\" {state} \"$Fz\"\n\
             MATCH $2: {test}\nREGEX {regex}\nEVENT all .* \"c\" Normal\nFORMAT $*\n"
        );
        for unsafe_regex in [false, true] {
            let ini = Ini { unsafe_regex, ..Ini::default() };
            sound(&imported(&text, &Options { ini, ..Options::default() }));
        }
    }

    /// Without a condition rules get tests: the traps of these have what the names of hosts and services need.
    #[test]
    fn tests_have_the_varbinds_that_names_need(
        format in "([a-z ]|\\$([0-9*]|[+-][0-9*]|v[0-9]|[A-Za-z])){1,6}",
        hosts in proptest::collection::vec("\\$([1-9*]|1[0-9]|70|[+-][1-9*]|v[1-9]|A|r|R|H|aA|Fz)", 1..3),
        service in "([a-z]|\\$([1-9*]|1[0-9]|[+-][1-9*]|v[1-9]|A|N|Fz|s|H)){1,2}",
    ) {
        let exec: String = (hosts.iter())
            .map(|host| format!("EXEC submit_check_result \"{host}\" \"{service}\" 1 \"x\"\n"))
            .collect();
        let text = format!(
            "EVENT a .1.3.6.1.4.1.9.1 \"c\" Normal\nFORMAT x{format}\n{exec}EVENT b .1.3.6.1.4.1.9.* \"c\" Normal\n{exec}",
        );
        for names in [Names::Numbers, Names::Short, Names::Qualified] {
            let ini = Ini { names, system_name: "nms".to_owned(), ..Ini::default() };
            let made = imported(&text, &Options { ini, ..Options::default() });
            sound(&made);
            let tested = !text.contains("$70") && made.text.contains("state = \"warning\"");
            proptest::prop_assert!(!tested || made.text.contains("[[rule.test]]"), "{}", made.text);
        }
    }

    /// Whatever stands for a number, of any length, with or without a point.
    #[test]
    fn any_number_can_be_compared_with(
        tests in proptest::collection::vec(
            "!? ?[<>&]?-{0,2}[0-9]{0,22}(\\.[0-9]{0,22}){0,2}((,|-)-?[0-9]{0,22}(\\.[0-9]{0,3})?)?|[<>]?[0-9]{300,320}",
            1..40,
        ),
    ) {
        let lines: String = tests.iter().map(|test| format!("MATCH $2: {test}\n")).collect();
        let text = format!("EVENT e .1.3.6.1.4.1.9.1 \"c\" Normal\nFORMAT x\n{lines}");
        sound(&imported(&text, &Options::default()));
    }
}
