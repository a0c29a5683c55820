//! The settings in `snmptt.ini` that change what a trap becomes.

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
