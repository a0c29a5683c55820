//! What cannot be carried over, in words for the user.

/// What is not carried over, or not as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    /// A line before the first EVENT.
    #[error("a line before the first EVENT; snmptt passes it over too")]
    BeforeTheFirst,
    /// A line of no known kind.
    #[error("a line that snmptt does not know; it passes it over too")]
    UnknownLine,
    /// Of several FORMAT lines the last one counts.
    #[error("a FORMAT line that a later one replaces, as in snmptt")]
    SecondFormat,
    /// Neither FORMAT nor EXEC.
    #[error("EVENT '{0}' has neither FORMAT nor EXEC; snmptt passes it over too")]
    Empty(String),
    /// The OID cannot be read.
    #[error(
        "EVENT '{name}' left out: '{oid}' is no OID, and no loaded MIB knows it; add the folder of its MIB with --mibs"
    )]
    Oid {
        /// The EVENT.
        name: String,
        /// What should be its OID.
        oid: String,
    },
    /// The name stands for several OIDs.
    #[error("EVENT '{name}' left out: '{oid}' is {candidates}; write the one that is meant")]
    Ambiguous {
        /// The EVENT.
        name: String,
        /// The name.
        oid: String,
        /// The OIDs.
        candidates: String,
    },
    /// Its NODES or MATCH cannot be said.
    #[error("EVENT '{name}' left out: whether it takes a trap cannot be told without line {line}")]
    Condition {
        /// The EVENT.
        name: String,
        /// The line that cannot be said.
        line: usize,
    },
    /// A program is run.
    #[error(
        "EXEC left out: it runs a program, and Trapline runs none; let a sink send the event, such as a webhook"
    )]
    Exec,
    /// The category says that EXEC is not to be run, and snmptt does not heed it.
    #[error(
        "EXEC left out: the category LOGONLY says so, by the manual of snmptt; the program itself heeds the severity LOGONLY alone"
    )]
    LogOnly,
    /// A program is run for its output.
    #[error(
        "PREEXEC left out: it runs a program, and Trapline runs none; what it looks up must come with the trap"
    )]
    Preexec,
    /// The output of a program is used.
    #[error("$p stands for the output of PREEXEC, which Trapline does not run")]
    PreexecResult,
    /// An engine id is used.
    #[error(
        "$Be and $BE, the engine ids, are not known to rules; $Bu is {{{{ user }}}}, $Bn {{{{ context }}}}"
    )]
    EngineId,
    /// A variable stands where an expression must.
    #[error("this variable cannot be compared; compare its parts, such as $1")]
    NoExpression,
    /// Perl code in a REGEX.
    #[error("REGEX left out: the modifier e runs Perl code")]
    Code,
    /// `e` that snmptt passes over.
    #[error(
        "the modifier e of REGEX has no effect, as in snmptt without allow_unsafe_regex; the text is put as it stands"
    )]
    NoCode,
    /// A REGEX that is none.
    #[error("REGEX left out: it must be (search)(replacement)")]
    NoRegex,
    /// The pattern cannot be said.
    #[error(
        "the pattern '{pattern}' is not carried over: {error}; rules have no look-around and no back-references"
    )]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        error: String,
    },
    /// A node that is none.
    #[error("'{0}' is no address, network or range of addresses")]
    Node(String),
    /// A file of nodes cannot be read.
    #[error("cannot read the NODES file {file}: {error}; put it there, or its nodes into the line")]
    NodesFile {
        /// The file.
        file: String,
        /// Why.
        error: String,
    },
    /// NODES without any.
    #[error("NODES without any node never match")]
    NoNodes,
    /// A MATCH that snmptt takes for false.
    #[error("this MATCH never holds in snmptt")]
    NeverHolds,
    /// Never looked at.
    #[error(
        "EVENT '{0}' is never reached: without multiple_event, one before it takes every trap of its OID"
    )]
    NeverReached(String),
    /// The severity is not in the table.
    #[error(
        "the severity '{0}' is not in the table, its state is unknown; say what it is with --severity {0}=critical"
    )]
    Severity(String),
}
