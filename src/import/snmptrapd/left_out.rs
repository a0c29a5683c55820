//! What an import leaves out or changes, as messages for the user.

/// A directive that is not translated, or not exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    /// A handler.
    #[error("traphandle for {oid} left out: Trapline runs no programs. {program} is {what}")]
    Handler {
        /// The traps that it gets.
        oid: String,
        /// Its command.
        program: String,
        /// What it is, and what to use in its place.
        what: String,
    },
    /// Embedded Perl.
    #[error("Perl left out: Trapline runs no programs. This is {0}")]
    Perl(String),
    /// A forward.
    #[error(
        "forward of {oid} to {destination} left out: point the senders there too, or send outcomes with a sink such as a webhook"
    )]
    Forward {
        /// The traps that are forwarded.
        oid: String,
        /// Where to.
        destination: String,
    },
    /// A listening address.
    #[error(
        "address '{0}' left out: Trapline listens on UDP and TCP addresses in numbers, such as 0.0.0.0:162"
    )]
    Address(String),
    /// A community from a source that cannot be carried over.
    #[error(
        "community '{community}' left out, as its source '{source_name}' is no address and no network, and Trapline asks no DNS: add the \
         community to [snmp] communities and to [[snmp.access]], with the address or network in `from`"
    )]
    Source {
        /// The community.
        community: String,
        /// The source.
        source_name: String,
    },
    /// A restriction to OIDs or a view.
    #[error("the restriction to '{0}' left out: give the rules for these traps a tag, and the access `tags`")]
    View(String),
    /// A user that is not complete or not supported.
    #[error("user '{name}' left out: {why}")]
    User {
        /// The user.
        name: String,
        /// The reason.
        why: String,
    },
    /// A user without secrets.
    #[error(
        "authUser '{0}' has no createUser line here: look into net-snmp's persistent file (/var/lib/snmp/snmptrapd.conf) \
         and import it too, or add auth_password"
    )]
    NoSecrets(String),
    /// A user that nothing lets in.
    #[error(
        "user '{0}' left out: no authUser of the type log or execute names it, so snmptrapd processes nothing of it; if it may send, \
         add it to [[snmp.users]] and to `users` of [[snmp.access]]"
    )]
    NoGrant(String),
    /// A grant to be forwarded, and nothing else.
    #[error(
        "{directive} for '{who}' left out: the type net lets snmptrapd forward what comes, but neither log nor handle it; if Trapline is \
         to process it, write log for net, and import the file again"
    )]
    OnlyForwarded {
        /// The directive.
        directive: String,
        /// The community or user.
        who: String,
    },
    /// A grant of nothing.
    #[error(
        "{directive} for '{who}' left out: its types let snmptrapd do nothing; if Trapline is to process what comes, write log, and \
         import the file again"
    )]
    GrantsNothing {
        /// The directive.
        directive: String,
        /// The community or user.
        who: String,
    },
    /// A type that is not known.
    #[error("type '{unknown}' of {directive} left out: snmptrapd has log, execute and net, in lower case")]
    Type {
        /// The directive.
        directive: String,
        /// What stands there.
        unknown: String,
    },
    /// A directive in the section of another program.
    #[error(
        "{0} left out: it is in a section that is not snmptrapd's; if it is for snmptrapd, put it before all sections or below \
         [snmptrapd], and import the file again"
    )]
    Section(String),
    /// `disableAuthorization yes`
    #[error("disableAuthorization: all communities are accepted, as [snmp] communities is not set")]
    Anybody,
    /// A directive that has no counterpart.
    #[error("{directive} left out: {what}")]
    Directive {
        /// The directive.
        directive: String,
        /// What to do in its place.
        what: &'static str,
    },
    /// A directive that is not known.
    #[error("{0} left out: unknown directive; compare it with snmptrapd.conf(5)")]
    Unknown(String),
    /// A line without the words that it needs.
    #[error("{0} left out: words are missing; compare it with snmptrapd.conf(5)")]
    Incomplete(String),
}
