//! What an import leaves out or changes, as messages for the user.

use crate::settings::diagnostic::{Diagnostic, Severity};

/// Something that is not translated, or not exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    /// A line before the first EVENT.
    #[error("line ignored: it is before the first EVENT; snmptt ignores it too")]
    BeforeTheFirst,
    /// An unknown keyword.
    #[error("line ignored: unknown keyword; snmptt ignores it too")]
    UnknownLine,
    /// One of several FORMAT lines, of which the last one counts.
    #[error("FORMAT ignored: a later FORMAT line replaces it, as in snmptt")]
    SecondFormat,
    /// Neither FORMAT nor EXEC.
    #[error("EVENT '{0}' left out: it has neither FORMAT nor EXEC; snmptt ignores it too")]
    Empty(String),
    /// An unknown or invalid OID.
    #[error(
        "EVENT '{name}' left out: '{oid}' is neither an OID nor a notification of the loaded MIBs; \
         add the folder of its MIB with --mibs"
    )]
    Oid {
        /// The EVENT.
        name: String,
        /// The text in the place of the OID.
        oid: String,
    },
    /// A name of several notifications.
    #[error("EVENT '{name}' left out: '{oid}' is ambiguous: {candidates}; write the OID that you mean")]
    Ambiguous {
        /// The EVENT.
        name: String,
        /// The name.
        oid: String,
        /// The OIDs.
        candidates: String,
    },
    /// A NODES or MATCH line that cannot be translated.
    #[error("EVENT '{name}' left out: without the condition in line {line} its rule would match too much")]
    Condition {
        /// The EVENT.
        name: String,
        /// The line that cannot be translated.
        line: usize,
    },
    /// A file of EVENTs that snmptt reads and this import does not.
    #[error("the EVENTs of '{0}' are not imported: name this file, too, in the order of this list")]
    File(String),
    /// EXEC that submits no result.
    #[error("EXEC left out: Trapline runs no programs; send the event with a sink, such as a webhook")]
    Exec,
    /// EXEC of an EVENT with the category LOGONLY.
    #[error(
        "EXEC left out: the category is LOGONLY; snmptt runs it all the same, unlike its manual says; \
         change the category if you need the result"
    )]
    LogOnly,
    /// EXEC whose state is none.
    #[error(
        "EXEC left out: '{0}' is not a state; check the order of the arguments: host, service, state, output"
    )]
    NoState(String),
    /// EXEC whose host is empty.
    #[error(
        "EXEC left out: its host is empty; check the order of the arguments: host, service, state, output"
    )]
    NoHost,
    /// EXEC whose service is empty.
    #[error(
        "EXEC left out: its service is empty; check the order of the arguments: host, service, state, output"
    )]
    NoService,
    /// EXEC with words that its script does not send.
    #[error("'{0}' left out: the script sends only the words before; put a text of several words in quotes")]
    Unused(String),
    /// EXEC whose service is an address or the name of a host.
    #[error(
        "the service of this EXEC is the host ('{0}'); check the order of the arguments: host, service, state, output"
    )]
    HostAsService(String),
    /// `$r` and `$R`, which snmptrapd fills from the DNS.
    #[error(
        "{0} EXEC lines name the host by $r or $R, which snmptrapd takes from the DNS. The rules name \
         the host as [hosts] does, else by its address. Give the names in [hosts], set reverse_dns = true there, or check that the core knows the addresses"
    )]
    Dns(usize),
    /// A setting of snmptt.ini that rules do not have.
    #[error("{key} = {value}: {what}")]
    Setting {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What that means.
        what: &'static str,
    },
    /// PREEXEC.
    #[error("PREEXEC left out: Trapline runs no programs; rules use only what the trap contains")]
    Preexec,
    /// `$p` variables.
    #[error("$p stays as written: it is the output of PREEXEC, which Trapline does not run")]
    PreexecResult,
    /// `$Be` and `$BE`.
    #[error("$Be and $BE left out: rules have no engine ID; $Bu is {{{{ user }}}}, $Bn is {{{{ context }}}}")]
    EngineId,
    /// A variable that is no part of an expression.
    #[error("this variable cannot be compared; compare its parts, such as $1")]
    NoExpression,
    /// REGEX with the modifier e, which runs Perl code.
    #[error("REGEX left out: the modifier e runs Perl code; write the replacement as text")]
    Code,
    /// REGEX with the modifier e, which snmptt ignores.
    #[error(
        "modifier e of REGEX ignored, as in snmptt without allow_unsafe_regex; the replacement is plain text"
    )]
    NoCode,
    /// An invalid REGEX line.
    #[error("REGEX left out: it is not of the form (search)(replacement)")]
    NoRegex,
    /// A pattern that Trapline does not support.
    #[error("unsupported pattern '{pattern}': {error}; rules have no look-around and no back-references")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The error in it.
        error: String,
    },
    /// An invalid node.
    #[error("node ignored: '{0}' is not an address, network or range; write 10.0.0.0/8 or 10.0.0.1-10.0.0.9")]
    Node(String),
    /// A file of nodes that cannot be read.
    #[error("cannot read the NODES file {file}: {error}; create it, or write its nodes into the line")]
    NodesFile {
        /// The file.
        file: String,
        /// The error.
        error: String,
    },
    /// NODES without nodes.
    #[error("NODES without nodes never matches; add nodes or remove the line")]
    NoNodes,
    /// A MATCH that is always false.
    #[error("this MATCH never holds in snmptt; correct or remove it")]
    NeverHolds,
    /// An EVENT that no trap reaches.
    #[error("EVENT '{0}' left out: without multiple_event, an earlier EVENT matches every trap with its OID")]
    NeverReached(String),
    /// A severity without a state.
    #[error("unknown severity '{0}': its state is unknown; set it with --severity {0}=critical")]
    Severity(String),
}

impl LeftOut {
    /// The warning with its place.
    pub fn at(&self, file: &str, line: usize) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            file: file.to_owned(),
            place: Some((line, 1)),
            message: self.to_string(),
            hint: None,
        }
    }
}
