use std::collections::BTreeSet;

use super::comments::Comments;
use super::{names, output, propose, rules};
use crate::import::mib::Identity;
use crate::mib::Mib;
use crate::mib::load::load;

/// A module of notifications that carry an object of a row with two indexes.
fn module(name: &str, number: u32, notifications: &str) -> String {
    format!(
        "{name} DEFINITIONS ::= BEGIN\nIMPORTS OBJECT-TYPE, NOTIFICATION-TYPE, Integer32, enterprises FROM SNMPv2-SMI\n DisplayString, TruthValue FROM SNMPv2-TC;\n\
         {lower}Root OBJECT IDENTIFIER ::= {{ enterprises {number} }}\n\
         {lower}Traps OBJECT IDENTIFIER ::= {{ {lower}Root 0 }}\n\
         {lower}Table OBJECT-TYPE SYNTAX SEQUENCE OF {upper}Entry MAX-ACCESS not-accessible STATUS current DESCRIPTION \"x\" ::= {{ {lower}Root 1 }}\n\
         {lower}Entry OBJECT-TYPE SYNTAX {upper}Entry MAX-ACCESS not-accessible STATUS current DESCRIPTION \"x\" INDEX {{ {lower}Slot, {lower}Bay }} ::= {{ {lower}Table 1 }}\n\
         {upper}Entry ::= SEQUENCE {{ {lower}Slot Integer32, {lower}Bay Integer32, {lower}Descr DisplayString, {lower}Severity INTEGER, {lower}Status INTEGER }}\n\
         {lower}Slot OBJECT-TYPE SYNTAX Integer32 MAX-ACCESS not-accessible STATUS current DESCRIPTION \"x\" ::= {{ {lower}Entry 1 }}\n\
         {lower}Bay OBJECT-TYPE SYNTAX Integer32 MAX-ACCESS not-accessible STATUS current DESCRIPTION \"x\" ::= {{ {lower}Entry 2 }}\n\
         {lower}Descr OBJECT-TYPE SYNTAX DisplayString MAX-ACCESS read-only STATUS current DESCRIPTION \"x\" ::= {{ {lower}Entry 3 }}\n\
         {lower}Severity OBJECT-TYPE SYNTAX INTEGER {{ cleared(1), minor(2), major(3) }} MAX-ACCESS read-only STATUS current DESCRIPTION \"x\" ::= {{ {lower}Entry 4 }}\n\
         {lower}Status OBJECT-TYPE SYNTAX INTEGER {{ ok(1), degraded(2), failed(3) }} MAX-ACCESS read-only STATUS current DESCRIPTION \"x\" ::= {{ {lower}Entry 5 }}\n\
         {lower}PeerName OBJECT-TYPE SYNTAX DisplayString MAX-ACCESS read-only STATUS current DESCRIPTION \"x\" ::= {{ {lower}Root 2 }}\n\
         {lower}Text OBJECT-TYPE SYNTAX DisplayString MAX-ACCESS read-only STATUS current DESCRIPTION \"x\" ::= {{ {lower}Root 3 }}\n\
         {notifications}\nEND\n",
        lower = name.to_lowercase(),
        upper = name,
    )
}

fn notification(module: &str, name: &str, objects: &[&str], number: u32) -> String {
    let lower = module.to_lowercase();
    let objects: Vec<String> = objects.iter().map(|object| format!("{lower}{object}")).collect();
    let objects =
        if objects.is_empty() { String::new() } else { format!("OBJECTS {{ {} }} ", objects.join(", ")) };
    format!(
        "{name} NOTIFICATION-TYPE {objects}STATUS current DESCRIPTION \"A very long story. {filler}\" ::= {{ {lower}Traps {number} }}\n",
        filler = "x".repeat(200)
    )
}

fn loaded(modules: &[String]) -> Mib {
    let folder = tempfile::tempdir().unwrap();
    for (at, text) in modules.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{at}.txt")), text).unwrap();
    }
    let loaded = load(&[folder.path().to_owned()]);
    assert_eq!(loaded.found.to_text(), "");
    loaded.mib
}

#[test]
fn names_say_which_thing_and_how_it_is() {
    for (name, subject, state) in [
        ("linkDown", "Link", "critical"),
        ("linkUp", "Link", "ok"),
        ("upsBatteryLow", "UPS battery low", "warning"),
        ("fanFailureCleared", "Fan", "ok"),
        ("ospfNbrStateChange", "OSPF neighbor", ""),
        ("bgpBackwardTransition", "BGP", "critical"),
        ("bgpEstablishedNotification", "BGP", "ok"),
        ("fanNotFail", "Fan", "ok"),
        ("outputNotPowered", "Output", "critical"),
        ("extremeFanfailed", "Extreme fan", "critical"),
        ("temperatureTooHighTrap", "Temperature too high", "critical"),
        ("returnFromLowBattery", "Low battery", "ok"),
        ("hwBrdTempResume", "Hardware board temperature", "ok"),
        ("jnxFruPowerOff", "Jnx FRU", "warning"),
        ("powerSupply1Fail", "Power supply 1", "critical"),
    ] {
        let (names, groups) = names::read(&[name], &[]);
        let said = names[0].state.map_or("", |state| state.as_str());
        assert_eq!((groups[0].subject.as_str(), said), (subject, state), "{name}");
    }
}

#[test]
fn notifications_of_trouble_and_its_end_are_one_service() {
    for (bad, good) in [
        ("jnxPowerSupplyFailure", "jnxPowerSupplyOK"),
        ("hwBoardFail", "hwBoardFailResume"),
        ("diskFailed", "diskRepaired"),
        ("sfpAlarmOn", "sfpAlarmOff"),
        ("os10AlmFanTrayDown", "os10AlmFanTrayClr"),
        ("apDisconnectedTrap", "apConnectedTrap"),
        ("redundancyLost", "redundancyRestored"),
        ("domAlarmSet", "domAlarmCleared"),
        ("source1OutOfRange", "source1Normal"),
        ("outputNotPowered", "outputPowered"),
        ("cpuRisingThreshold", "cpuFallingThreshold"),
        ("ipmiFanRaised", "ipmiFanCleared"),
        ("apLostTrap", "apJoinTrap"),
        ("fruRemoved", "fruInserted"),
        ("rPDUOverload", "rPDUOverloadCleared"),
        ("diskThresholdExceeded", "diskThresholdBackToNormal"),
        ("temperatureHigh", "temperatureNormal"),
        ("lowBattery", "returnFromLowBattery"),
        ("ifEnterBypassMode", "ifExitBypassMode"),
        ("conditionEntryAdded", "conditionEntryRemoved"),
        ("haSyncFailure", "haSyncSucceded"),
        ("entitydown", "entityup"),
        ("tunnelStop", "tunnelStart"),
        ("serverUnreachable", "serverReachable"),
        ("temperatureCritical", "temperatureNonCritical"),
    ] {
        for names in [[bad, good], [good, bad]] {
            let (read, groups) = names::read(&names, &[]);
            assert_eq!(groups.len(), 1, "{bad} and {good}: {groups:?} {read:?}");
            assert!(groups[0].is_pair);
            let states: BTreeSet<_> = read.iter().map(|name| name.state.unwrap().as_str()).collect();
            assert!(states.contains("ok") && states.len() == 2, "{bad} and {good}: {states:?}");
        }
    }
    // What ends one trouble ends no other.
    let names = ["tempHighAlarm", "tempHighAlarmCleared", "tempLowAlarm", "tempLowAlarmCleared"];
    assert_eq!(names::read(&names, &[]).1.len(), 2);
}

#[test]
fn no_two_groups_have_one_name() {
    let names = ["fanStatusChange", "fanFailed", "fanOk", "fanTrap", "fanNotification"];
    let (_, groups) = names::read(&names, &[]);
    let subjects: BTreeSet<_> = groups.iter().map(|group| group.subject.to_lowercase()).collect();
    assert_eq!(subjects.len(), groups.len(), "{groups:?}");
}

#[test]
fn all_indexes_that_a_pair_shares_are_its_identity() {
    let text = module(
        "Acme",
        99991,
        &[
            notification("Acme", "acmeFanFailed", &["Descr", "Text"], 1),
            notification("Acme", "acmeFanOk", &["Descr"], 2),
            notification("Acme", "acmePeerLost", &["PeerName", "Text"], 3),
            notification("Acme", "acmePeerJoined", &["Text", "PeerName"], 4),
            notification("Acme", "acmeBrokenThing", &["Text"], 5),
            notification("Acme", "acmeUnbrokenSystem", &[], 6),
            notification("Acme", "acmeLinkDown", &["Status"], 7),
            notification("Acme", "acmeLinkUp", &["Descr", "Text"], 8),
            notification("Acme", "acmeTrap1", &[], 9),
        ]
        .concat(),
    );
    let mib = loaded(&[text]);
    let all = propose(&mib, "Acme", &Comments::default());
    let service = |name: &str| &*all.iter().find(|p| &*p.notification.name == name).unwrap().service;
    assert_eq!(service("acmeFanFailed"), "Fan {{ index['Acme::acmeSlot'] }}/{{ index['Acme::acmeBay'] }}");
    assert_eq!(service("acmeFanOk"), service("acmeFanFailed"));
    let output = |name: &str| &*all.iter().find(|p| &*p.notification.name == name).unwrap().output;
    assert!(output("acmeTrap1").contains(char::is_alphabetic), "{}", output("acmeTrap1"));
    // Other objects of the same rows.
    assert_eq!(service("acmeLinkDown"), "Link {{ index['Acme::acmeSlot'] }}/{{ index['Acme::acmeBay'] }}");
    assert_eq!(service("acmeLinkUp"), service("acmeLinkDown"));
    assert_eq!(service("acmePeerLost"), "Peer {{ v['Acme::acmePeerName'] }}");
    assert_eq!(service("acmePeerJoined"), service("acmePeerLost"));
    let identity = |name: &str| all.iter().find(|p| &*p.notification.name == name).unwrap().identity.clone();
    assert_eq!(identity("acmeBrokenThing"), Identity::Missing);
    assert_eq!(identity("acmeUnbrokenSystem"), Identity::Host);
    let text = rules(&mib, &["Acme"], &Comments::default());
    assert_eq!(text.matches("WARNING: one for all instances").count(), 1, "{text}");
}

#[test]
fn the_state_is_in_the_trap_before_it_is_in_the_name() {
    let text = module(
        "Acme",
        99992,
        &[
            notification("Acme", "acmeAlarmRaised", &["Severity"], 1),
            notification("Acme", "acmeSensorFailed", &["Status"], 2),
            notification("Acme", "acmeFanFailed", &["Status"], 3),
            notification("Acme", "acmeFanOk", &["Status"], 4),
        ]
        .concat(),
    );
    let mib = loaded(&[text]);
    let all = propose(&mib, "Acme", &Comments::default());
    let state = |name: &str| &*all.iter().find(|p| &*p.notification.name == name).unwrap().state.expression;
    assert_eq!(
        state("acmeAlarmRaised"),
        "'ok' if v['Acme::acmeSeverity'] in ['cleared'] else 'warning' if v['Acme::acmeSeverity'] in ['minor'] else \
         'critical' if v['Acme::acmeSeverity'] in ['major'] else 'unknown'"
    );
    assert!(
        state("acmeSensorFailed").starts_with("'ok' if v['Acme::acmeStatus'] in ['ok'] else 'warning' if")
    );
    // The two names say which is which.
    assert_eq!((state("acmeFanFailed"), state("acmeFanOk")), ("critical", "ok"));
}

#[test]
fn comments_belong_to_a_module_and_their_lines_are_joined() {
    let mut comments = Comments::default();
    comments.read(
        "A-MIB DEFINITIONS ::= BEGIN\nx TRAP-TYPE\n ENTERPRISE y\n--#TYPE \"z\"\n--#SUMMARY \"Message: %s,\"\n--#SUMMARY \"unit %s, 5%\"\n\
         --#ARGUMENTS {0, 2}\n--#SEVERITY MAJOR\n--#STATE DEGRADED\n::= 1\n--#SEVERITY MINOR\nEND\n\
         B-MIB DEFINITIONS ::= BEGIN\nx TRAP-TYPE\n--#SUMMARY \"other\"\n::= 1\nEND\n",
    );
    let of_a = comments.of("A-MIB", "x").unwrap();
    assert_eq!((of_a.severity.as_deref(), of_a.state.as_deref()), (Some("MAJOR"), Some("DEGRADED")));
    let summary = output::summarised(of_a.summary.as_deref().unwrap(), &of_a.arguments);
    assert_eq!(summary, "Message: {{ v[1] }}, unit {{ v[3] }}, 5%");
    assert_eq!(comments.of("B-MIB", "x").unwrap().summary.as_deref(), Some("other"));
    assert!(comments.of("C-MIB", "x").is_none());
}

#[test]
fn sentences_of_descriptions() {
    for (description, sentence) in [
        ("This notification is generated when\n  the fan fails. More.", Some("The fan fails")),
        ("A linkDown trap signifies that the link went down", Some("The link went down")),
        ("Power restored.", Some("Power restored")),
        ("", None),
    ] {
        assert_eq!(output::first_sentence(description).as_deref(), sentence, "{description}");
    }
    assert_eq!(output::first_sentence(&"long ".repeat(40)), None);
}
