//! The settings in `snmptt.ini` that change what a trap becomes.

use crate::import::snmptt::left_out::LeftOut;

/// How OIDs are written as names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// As numbers: `net_snmp_perl_enable = 0`.
    Numbers,
    /// `linkDown`
    Short,
    /// `IF-MIB::linkDown`
    Qualified,
}

/// Settings of snmptt. The default is the file that comes with snmptt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ini {
    /// `multiple_event`: whether all EVENTs of an OID can match a trap, or only the first.
    pub multiple_event: bool,
    /// `allow_unsafe_regex`: whether `$1` in a replacement stands for a group.
    pub unsafe_regex: bool,
    /// How OIDs are written.
    pub names: Names,
    /// Whether snmptrapd has MIBs and passes on the names of enumerated values. Not in the file.
    pub named_values: bool,
    /// `wildcard_expansion_separator`: the text between the values of `$*`.
    pub separator: String,
    /// `description_mode`: the source of `$D`: 0 none, 1 SDESC, 2 the MIB.
    pub description_mode: u8,
    /// `description_clean`: whether spaces at the start of its lines are removed.
    pub description_clean: bool,
    /// `date_format`
    pub date_format: String,
    /// `time_format`
    pub time_format: String,
    /// `snmptt_system_name`; default: the name of this machine.
    pub system_name: String,
}

impl Default for Ini {
    fn default() -> Self {
        Ini {
            multiple_event: true,
            unsafe_regex: false,
            names: Names::Numbers,
            named_values: false,
            separator: " ".to_owned(),
            description_mode: 0,
            description_clean: true,
            date_format: "%a %b %e %Y".to_owned(),
            time_format: "%H:%M:%S".to_owned(),
            system_name: String::new(),
        }
    }
}

/// Settings that change what becomes of a trap and that rules do not have: the key, the values that change nothing, and
/// what the others mean.
const NOT_CARRIED: [(&str, &[&str], &str); 20] = [
    (
        "dns_enable",
        &["", "0"],
        "Trapline asks the DNS if [hosts] has reverse_dns = true; otherwise $r, $R and NODES are names of [hosts], or addresses",
    ),
    ("strip_domain", &["", "0"], "names stay as [hosts] gives them"),
    ("resolve_value_ip_addresses", &["", "0"], "addresses in values stay addresses"),
    (
        "duplicate_trap_window",
        &["", "0"],
        "each trap makes an outcome; rules drop duplicates where they have dedup (docs/correlation.md), which you add",
    ),
    ("dynamic_nodes", &["", "0"], "files of NODES are read once, at import; import again when they change"),
    ("exec_enable", &["", "1"], "the rules submit the results of EXEC lines, which snmptt does not run"),
    ("exec_escape", &["", "1"], "rules need no escapes; each sink escapes what its server must not see"),
    (
        "unknown_trap_exec",
        &[""],
        "left out: Trapline runs no programs; unmatched traps are kept, see `trapline unmatched`",
    ),
    ("unknown_trap_nodes_match", &["", "0"], "unmatched traps of all hosts are kept"),
    ("translate_integers", &["", "1"], "numbers become names only with --names"),
    ("translate_value_oids", &["", "1"], "OIDs in values are written as translate_varname_oid_format says"),
    ("translate_trap_oid_format", &["", "1"], "$O and $o are written as translate_varname_oid_format says"),
    (
        "translate_enterprise_oid_format",
        &["", "1"],
        "$E and $e are written as translate_varname_oid_format says",
    ),
    ("log_enable", &["", "0"], "the log of traps is a sink: add one of the type file"),
    ("syslog_enable", &["", "0"], "nothing goes to syslog; add a sink of the type file or webhook"),
    ("eventlog_enable", &["", "0"], "nothing goes to the event log"),
    ("mysql_dbi_enable", &["", "0"], "no database is written; add a sink, such as a webhook"),
    ("postgresql_dbi_enable", &["", "0"], "no database is written; add a sink, such as a webhook"),
    ("dbd_odbc_enable", &["", "0"], "no database is written; add a sink, such as a webhook"),
    ("win32_odbc_enable", &["", "0"], "no database is written; add a sink, such as a webhook"),
];

/// The settings of a file that rules do not have, with their lines.
pub fn not_carried(text: &str) -> Vec<(usize, LeftOut)> {
    let mut found = Vec::new();
    for (at, line) in text.lines().map(str::trim).enumerate() {
        if line.starts_with(['#', ';']) {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim().trim_matches(['"', '\'']));
        let known = NOT_CARRIED.iter().find(|(name, _, _)| *name == key);
        if let Some((_, without_effect, what)) = known
            && !without_effect.contains(&value)
        {
            found.push((at + 1, LeftOut::Setting { key: key.to_owned(), value: value.to_owned(), what }));
        }
    }
    found
}

/// Whether a text is an ini file: snmptt reads no setting outside of a section.
pub fn is_ini(text: &str) -> bool {
    text.lines().any(|line| line.trim().starts_with('['))
}

/// The files of EVENTs that `snmptt_conf_files` names, with their lines.
pub fn event_files(text: &str) -> Vec<(usize, &str)> {
    let mut lines = text.lines().map(str::trim).enumerate();
    let first = lines.find_map(|(at, line)| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "snmptt_conf_files").then(|| (at + 1, value.trim()))
    });
    match first {
        Some((at, value)) => match value.strip_prefix("<<") {
            Some(end) => lines
                .take_while(|(_, line)| *line != end.trim())
                .filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', ';']))
                .map(|(at, line)| (at + 1, line))
                .collect(),
            None => vec![(at, value)],
        },
        None => Vec::new(),
    }
}

impl Ini {
    /// Reads the text of a file. A setting that it lacks stays as it is; only `multiple_event` is off then.
    #[must_use]
    pub fn with(mut self, text: &str) -> Self {
        self.multiple_event = false;
        let mut perl = false;
        let mut format = 1;
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim();
            let value =
                value.strip_prefix(['"', '\'']).and_then(|v| v.strip_suffix(['"', '\''])).unwrap_or(value);
            let number: u8 = value.parse().unwrap_or(0);
            match key.trim() {
                "multiple_event" => self.multiple_event = number != 0,
                "allow_unsafe_regex" => self.unsafe_regex = number != 0,
                "net_snmp_perl_enable" => perl = number != 0,
                "translate_varname_oid_format" => format = number,
                "wildcard_expansion_separator" if !value.is_empty() => value.clone_into(&mut self.separator),
                "description_mode" => self.description_mode = number,
                "description_clean" => self.description_clean = number != 0,
                "date_format" if !value.is_empty() => value.clone_into(&mut self.date_format),
                "time_format" if !value.is_empty() => value.clone_into(&mut self.time_format),
                "snmptt_system_name" if !value.is_empty() => value.clone_into(&mut self.system_name),
                _ => {}
            }
        }
        self.names = match (perl, format) {
            (false, _) => self.names,
            (true, 2 | 4) => Names::Qualified,
            (true, _) => Names::Short,
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_rules_do_not_have_are_listed() {
        let text = "[General]\ndns_enable = 1\nstrip_domain = 0\n#exec_enable = 0\nduplicate_trap_window = 60\n\
                    mode = daemon\nmysql_dbi_enable=1\n";
        let said: Vec<String> =
            not_carried(text).into_iter().map(|(line, what)| format!("{line} {what}")).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].starts_with("2 dns_enable = 1: Trapline asks the DNS if"), "{said:?}");
        assert!(said[1].starts_with("5 duplicate_trap_window = 60:"), "{said:?}");
        assert!(
            NOT_CARRIED.iter().all(|(_, values, _)| values.contains(&"")),
            "an empty value changes nothing"
        );
    }

    #[test]
    fn files_of_events_are_listed_and_other_files_are_no_ini() {
        let text =
            "[TrapFiles]\nsnmptt_conf_files = <<END\n/etc/snmp/a.conf\n\n#/no\n /etc/snmp/b.conf\nEND\n/no\n";
        assert_eq!(event_files(text), [(3, "/etc/snmp/a.conf"), (6, "/etc/snmp/b.conf")]);
        assert_eq!(event_files("[TrapFiles]\nsnmptt_conf_files = /a.conf\n"), [(2, "/a.conf")]);
        assert_eq!(event_files("[TrapFiles]\n"), []);
        assert!(is_ini(text) && !is_ini("EVENT a .1.3.6 \"Status Events\" Normal\nFORMAT a = 1\n"));
    }

    #[test]
    fn settings_that_matter() {
        let text = "[General]\n# net_snmp_perl_enable = 0\nnet_snmp_perl_enable = 1\n\
                    wildcard_expansion_separator = \" ~ \"\nsnmptt_system_name =\n[TrapFiles]\n";
        let ini = Ini { system_name: "nms".into(), ..Ini::default() }.with(text);
        let expected = Ini {
            multiple_event: false,
            names: Names::Short,
            separator: " ~ ".into(),
            system_name: "nms".into(),
            ..Ini::default()
        };
        assert_eq!(ini, expected);
    }
}
