//! Programs that are commonly run for traps, and what replaces them.

/// A part of a command, what it is, and what to use in its place.
const KNOWN: [(&str, &str); 14] = [
    ("snmptthandler", "snmptt: run `trapline import snmptt` on its files"),
    ("snmptt", "snmptt: run `trapline import snmptt` on its files"),
    (
        "zabbix_trap",
        "Zabbix's trap receiver: send outcomes with a webhook to Zabbix's API (history.push), or keep it for Zabbix",
    ),
    (
        "zbxtrap",
        "Zabbix's trap receiver: send outcomes with a webhook to Zabbix's API (history.push), or keep it for Zabbix",
    ),
    (
        "centreontrap",
        "Centreon's trap handler: add a sink of the type nagios, and rules in the place of its trap definitions",
    ),
    ("traptoemail", "a mailer: add a webhook to a service that sends mail"),
    ("mail", "a mailer: add a webhook to a service that sends mail"),
    (
        "snmptraphandling",
        "Nagios XI's handler: rules with [rule.check] and a sink of the type nagios or nrdp replace it",
    ),
    (
        "submit_check_result",
        "a script for Nagios: rules with [rule.check] and a sink of the type nagios replace it",
    ),
    ("nagios", "a script for Nagios: rules with [rule.check] and a sink of the type nagios replace it"),
    ("icinga", "a script for Icinga: rules with [rule.check] and a sink of the type icinga2 replace it"),
    (
        "trapdirector",
        "Icinga's trapdirector: rules with [rule.check] and a sink of the type icinga2 replace it",
    ),
    ("check_mk", "Checkmk's receiver: forward to its event console with a webhook, or keep it for Checkmk"),
    ("logger", "a logger: add a sink of the type file"),
];

/// What a command is, for a human.
pub fn describe(command: &str) -> String {
    let lower = command.to_lowercase();
    let known = KNOWN.iter().find(|(part, _)| lower.contains(part));
    known.map_or_else(
        || {
            "a program of yours: send the outcomes to it with a webhook, or have it read a file sink"
                .to_owned()
        },
        |(_, what)| (*what).to_owned(),
    )
}
