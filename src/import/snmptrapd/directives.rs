//! The directives of `snmptrapd.conf`.

use ipnet::IpNet;

use crate::import::snmptrapd::handlers;
use crate::import::snmptrapd::left_out::LeftOut;
use crate::import::snmptrapd::words::words;

/// A secret of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// A passphrase.
    Password(String),
    /// A key that is localised for the user's engine, in hex.
    Key(String),
}

/// A user of SNMPv3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// The engine that it is for; none for all.
    pub engine: Option<String>,
    /// Protocol and secret of authentication.
    pub auth: Option<(&'static str, Secret)>,
    /// Protocol and secret of privacy.
    pub privacy: Option<(&'static str, Secret)>,
}

/// Who may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// A community, from some networks.
    Community {
        /// The community.
        name: String,
        /// The networks; none for all.
        from: Option<IpNet>,
    },
    /// A user, with at least a level.
    User {
        /// The user.
        name: String,
        /// The level, as Trapline writes it.
        level: &'static str,
    },
}

/// What the files say.
#[derive(Debug, Default)]
pub struct Directives {
    /// Listening addresses.
    pub listen: Vec<String>,
    /// Users, with the lines that they stand in.
    pub users: Vec<(User, String, usize)>,
    /// Grants, with the lines that they stand in.
    pub grants: Vec<(Grant, String, usize)>,
    /// Folders of MIB modules.
    pub mib_folders: Vec<String>,
    /// Whether anybody may send.
    pub anybody: bool,
}

/// Of defaults for commands such as snmptrap.
const OF_COMMANDS: &str = "that is a default of commands that send; `trapline send` has options";

/// Directives that change nothing for Trapline, or have another place there. They are listed as well: only the user knows what they were for.
const ELSEWHERE: &[(&str, &str)] = &[
    ("authgroup", "name the users of the group in [[snmp.access]]"),
    ("setaccess", "name users or communities in [[snmp.access]]"),
    ("group", "name the users of the group in [[snmp.access]]"),
    ("view", "give the rules for these traps a tag, and the access `tags`"),
    ("format1", "the rules write the texts: output = \"...\""),
    ("format2", "the rules write the texts: output = \"...\""),
    ("format", "the rules write the texts: output = \"...\""),
    ("print", "the rules write the texts: output = \"...\""),
    ("logoption", "what becomes of traps is a sink: add one of the type file; the daemon's own log is [log]"),
    ("outputoption", "the rules write the texts: output = \"...\""),
    ("outputoptions", "the rules write the texts: output = \"...\""),
    ("sqlmaxqueue", "no database is written; add a sink, such as a webhook"),
    ("sqlsaveinterval", "no database is written; add a sink, such as a webhook"),
    ("engineid", "Trapline makes its own engine ID for informs; devices that have snmptrapd's must learn it"),
    ("oldengineid", "users that are bound to an engine have `engine` in [[snmp.users]]"),
    (
        "exactengineid",
        "Trapline makes its own engine ID for informs; devices that have snmptrapd's must learn it",
    ),
    ("engineboots", "Trapline counts its own boots"),
    ("includefile", "import that file too"),
    ("includedir", "import the files of that folder too"),
    ("mibs", "Trapline reads all modules in the folders of [mibs] paths"),
    ("mibfile", "name the file in [mibs] paths"),
    ("ignoreauthfailure", "a rule for authenticationFailure decides: write one with drop = true"),
    ("authtrapenable", "that is a setting of an agent"),
    (
        "donotlogtraps",
        "rules say what becomes of traps, and sinks where it goes: write a rule with drop = true for those to ignore",
    ),
    (
        "donotretainnotificationlogs",
        "there is no notification log for agents; outcomes are kept with [history]",
    ),
    ("donotfork", "`trapline run` stays in the foreground"),
    ("pidfile", "no file with a process ID is written; systemd knows the process"),
    ("agentxsocket", "Trapline is no agent, and needs none"),
    ("persistentdir", "what is kept is in the journal directory, [journal] directory"),
    ("dontlogtcpwrappersconnects", "that is a setting of an agent"),
    ("agentuser", "the unit of systemd names the user: User=trapline"),
    ("agentgroup", "the unit of systemd names the group: Group=trapline"),
    ("clientaddr", "informs are answered from the address that they were sent to"),
    ("defversion", OF_COMMANDS),
    ("defsecurityname", OF_COMMANDS),
    ("defcontext", OF_COMMANDS),
    ("deflevel", OF_COMMANDS),
];

/// Directives of snmptrapd alone: in the section of another program they are not snmptrapd's.
const OF_SNMPTRAPD: &[&str] = &[
    "createuser",
    "usmuser",
    "authcommunity",
    "authuser",
    "authgroup",
    "setaccess",
    "group",
    "view",
    "disableauthorization",
    "snmptrapdaddr",
    "agentaddress",
    "traphandle",
    "forward",
    "perl",
];

/// Whose directives a part of a file has (snmp_config(5), "switching configuration types in mid-file").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    /// `[snmptrapd]`, or no section.
    Own,
    /// `[snmp]`: what all programs of net-snmp read of snmp.conf.
    Shared,
    /// Another program's.
    Other,
}

impl Section {
    /// A section by its name; none for a bracket that is not closed.
    fn named(name: Option<&str>) -> Self {
        match name {
            Some("snmptrapd") => Section::Own,
            Some("snmp") => Section::Shared,
            _ => Section::Other,
        }
    }

    /// Whether a directive in it is for snmptrapd.
    fn has(self, directive: &str) -> bool {
        match self {
            Section::Own => true,
            Section::Shared => !OF_SNMPTRAPD.contains(&directive.to_lowercase().as_str()),
            Section::Other => false,
        }
    }
}

impl Directives {
    /// Whether anything lets a user in.
    pub fn admits(&self, user: &User) -> bool {
        let granted = |grant: &Grant| matches!(grant, Grant::User { name, .. } if *name == user.name);
        self.anybody || self.grants.iter().any(|(grant, ..)| granted(grant))
    }

    /// Reads a file; `left_out` gets what is not translated, with its line.
    pub fn read(&mut self, file: &str, text: &str, left_out: &mut dyn FnMut(usize, LeftOut)) {
        let mut section = Section::Own;
        for (at, line) in text.lines().enumerate() {
            let words = words(line);
            let mut words = words.as_slice();
            let mut of = section;
            // `[snmptrapd] directive` is for its line, a section by itself for the lines behind it.
            if let Some((word, rest)) = words.split_first()
                && let Some(name) = word.strip_prefix('[')
            {
                of = Section::named(name.strip_suffix(']'));
                words = rest;
                if rest.is_empty() {
                    section = of;
                }
            }
            let Some((directive, arguments)) = words.split_first() else { continue };
            if !of.has(directive) {
                left_out(at + 1, LeftOut::Section(directive.clone()));
                continue;
            }
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            if let Err(what) = self.directive(file, at + 1, directive, &arguments) {
                for what in what {
                    left_out(at + 1, what);
                }
            }
        }
    }

    fn directive(
        &mut self,
        file: &str,
        line: usize,
        name: &str,
        arguments: &[&str],
    ) -> Result<(), Vec<LeftOut>> {
        let incomplete = || vec![LeftOut::Incomplete(name.to_owned())];
        match (name.to_lowercase().as_str(), arguments) {
            ("createuser", arguments) => self.create_user(file, line, arguments).map_err(|what| vec![what]),
            ("usmuser", arguments) => self.usm_user(file, line, arguments).map_err(|what| vec![what]),
            ("authcommunity", [types, community, rest @ ..]) => {
                let (granted, mut left_out) = processing(types, name, community);
                if granted && let Err(more) = self.community(file, line, community, rest) {
                    left_out.extend(more);
                }
                if left_out.is_empty() { Ok(()) } else { Err(left_out) }
            }
            ("authuser", [types, rest @ ..]) => {
                let rest = if let ["-s", _, rest @ ..] = rest { rest } else { rest };
                let Some(user) = rest.first() else { return Err(incomplete()) };
                let (granted, mut left_out) = processing(types, name, user);
                if granted {
                    left_out.extend(self.auth_user(file, line, user, &rest[1..]));
                }
                if left_out.is_empty() { Ok(()) } else { Err(left_out) }
            }
            ("disableauthorization", ["yes" | "true" | "1", ..]) => {
                self.anybody = true;
                Err(vec![LeftOut::Anybody])
            }
            ("disableauthorization", _) => Ok(()),
            ("snmptrapdaddr" | "agentaddress", arguments) => self.addresses(arguments),
            ("traphandle", [oid, program @ ..]) if !program.is_empty() => {
                let program = program.join(" ");
                let what = handlers::describe(&program);
                Err(vec![LeftOut::Handler { oid: traps(oid), program, what }])
            }
            ("forward", [oid, destination, ..]) => {
                Err(vec![LeftOut::Forward { oid: traps(oid), destination: (*destination).to_owned() }])
            }
            ("perl", arguments) => Err(vec![LeftOut::Perl(handlers::describe(&arguments.join(" ")))]),
            ("mibdirs", [folders, ..]) => {
                let folders =
                    folders.trim_start_matches(['+', '-']).split(':').filter(|folder| !folder.is_empty());
                self.mib_folders.extend(folders.map(str::to_owned));
                Ok(())
            }
            ("authcommunity" | "authuser" | "traphandle" | "forward" | "mibdirs", _) => Err(incomplete()),
            (other, _) => Err(vec![match ELSEWHERE.iter().find(|(known, _)| *known == other) {
                Some((_, what)) => LeftOut::Directive { directive: name.to_owned(), what },
                None => LeftOut::Unknown(name.to_owned()),
            }]),
        }
    }

    /// `authCommunity TYPES COMMUNITY [SOURCE [OID | -v VIEW [CONTEXT]]]`
    fn community(&mut self, file: &str, line: usize, name: &str, rest: &[&str]) -> Result<(), Vec<LeftOut>> {
        let mut left_out = Vec::new();
        let from = match rest.first() {
            None | Some(&"default" | &"*") => None,
            Some(source) => match network(source) {
                Some(network) => Some(network),
                None => {
                    let (community, source_name) = (name.to_owned(), (*source).to_owned());
                    left_out.push(LeftOut::Source { community, source_name });
                    None
                }
            },
        };
        left_out.extend(restriction(rest.get(1..).unwrap_or_default()));
        // A source that is left out must not let everybody in.
        if !left_out.iter().any(|what| matches!(what, LeftOut::Source { .. })) {
            self.grants.push((Grant::Community { name: name.to_owned(), from }, file.to_owned(), line));
        }
        if left_out.is_empty() { Ok(()) } else { Err(left_out) }
    }

    /// `authUser TYPES [-s MODEL] USER [LEVEL [OID | -v VIEW [CONTEXT]]]`, from behind the user.
    fn auth_user(&mut self, file: &str, line: usize, name: &str, rest: &[&str]) -> Option<LeftOut> {
        let level = match rest.first().map(|level| level.to_lowercase()).as_deref() {
            Some("noauth" | "noauthnopriv") => "noAuthNoPriv",
            Some("priv" | "authpriv") => "authPriv",
            _ => "authNoPriv",
        };
        self.grants.push((Grant::User { name: name.to_owned(), level }, file.to_owned(), line));
        restriction(rest.get(1..).unwrap_or_default())
    }

    /// `createUser [-e ENGINE] NAME [AUTH PASSPHRASE [PRIV [PASSPHRASE]]]`; `-l` before a secret is a localised key.
    fn create_user(&mut self, file: &str, line: usize, arguments: &[&str]) -> Result<(), LeftOut> {
        let (engine, rest) = match arguments {
            ["-e", engine, rest @ ..] => (Some((*engine).to_owned()), rest),
            rest => (None, rest),
        };
        let Some((name, rest)) = rest.split_first() else {
            return Err(LeftOut::Incomplete("createUser".to_owned()));
        };
        let fault = |why: String| LeftOut::User { name: (*name).to_owned(), why };
        let (auth, rest) = match rest {
            [] => (None, rest),
            [protocol, rest @ ..] => {
                let known = auth_protocol(protocol)
                    .ok_or_else(|| fault(format!("unknown authentication protocol '{protocol}'")))?;
                let (secret, rest) =
                    secret(rest).ok_or_else(|| fault("its passphrase is missing".to_owned()))?;
                (Some((known, secret.map_err(fault)?)), rest)
            }
        };
        let privacy = match rest {
            [] => None,
            [protocol, rest @ ..] => {
                let known = privacy_protocol(protocol)
                    .ok_or_else(|| fault(format!("unknown privacy protocol '{protocol}'")))?;
                // Without a passphrase of its own it has that of authentication.
                let secret = match secret(rest) {
                    Some((secret, _)) => secret.map_err(fault)?,
                    None => auth
                        .clone()
                        .map(|(_, secret)| secret)
                        .ok_or_else(|| fault("privacy needs authentication".to_owned()))?,
                };
                Some((known, secret))
            }
        };
        let has_key = |part: &Option<(&str, Secret)>| matches!(part, Some((_, Secret::Key(_))));
        if engine.is_none() && (has_key(&auth) || has_key(&privacy)) {
            return Err(fault("a localised key needs the engine that it was made for (-e)".to_owned()));
        }
        let user = User { name: (*name).to_owned(), engine, auth, privacy };
        self.users.push((user, file.to_owned(), line));
        Ok(())
    }

    /// `usmUser STATUS STORAGE ENGINE NAME SECURITY-NAME CLONE AUTH KEY PRIV KEY PUBLIC`, as net-snmp keeps users.
    fn usm_user(&mut self, file: &str, line: usize, arguments: &[&str]) -> Result<(), LeftOut> {
        let [_, _, engine, name, _, _, auth, auth_key, privacy, privacy_key, ..] = arguments else {
            return Err(LeftOut::Incomplete("usmUser".to_owned()));
        };
        let name = text(name);
        let fault = |why: String| LeftOut::User { name: name.clone(), why };
        let key = |key: &str| Secret::Key(key.trim_start_matches("0x").to_lowercase());
        let auth = match *auth {
            ".1.3.6.1.6.3.10.1.1.1" => None,
            oid => {
                let known =
                    auth_oid(oid).ok_or_else(|| fault(format!("unknown authentication protocol {oid}")))?;
                Some((known, key(auth_key)))
            }
        };
        let privacy = match *privacy {
            ".1.3.6.1.6.3.10.1.2.1" => None,
            oid => {
                let known =
                    privacy_oid(oid).ok_or_else(|| fault(format!("unknown privacy protocol {oid}")))?;
                Some((known, key(privacy_key)))
            }
        };
        let user = User { engine: Some((*engine).to_owned()), name, auth, privacy };
        self.users.push((user, file.to_owned(), line));
        Ok(())
    }

    fn addresses(&mut self, arguments: &[&str]) -> Result<(), Vec<LeftOut>> {
        let mut left_out = Vec::new();
        for address in arguments.iter().flat_map(|argument| argument.split(',')) {
            match listener(address) {
                Some(listener) => self.listen.push(listener),
                None => left_out.push(LeftOut::Address(address.to_owned())),
            }
        }
        if left_out.is_empty() { Ok(()) } else { Err(left_out) }
    }
}

/// Whether a list of types lets snmptrapd process what comes, as Trapline does, and what of the list is left out. The words are those of
/// net-snmp's vacm_parse_authtokens: separated by any of `,|:`, in lower case, and what is none of them grants nothing.
fn processing(types: &str, directive: &str, who: &str) -> (bool, Vec<LeftOut>) {
    let types: Vec<&str> = types.split([',', '|', ':']).filter(|one| !one.is_empty()).collect();
    let granted = types.iter().any(|one| ["log", "execute"].contains(one));
    let directive = || directive.to_owned();
    // What an agent knows lets snmptrapd do nothing.
    let of_agent = |one: &str| ["read", "write", "notify"].contains(&one);
    let unknown = types.iter().filter(|one| !of_agent(one) && !["log", "execute", "net"].contains(one));
    let mut left_out: Vec<LeftOut> =
        unknown.map(|one| LeftOut::Type { directive: directive(), unknown: (*one).to_owned() }).collect();
    if granted {
        return (true, left_out);
    }
    let who = who.to_owned();
    left_out.push(if types.contains(&"net") {
        LeftOut::OnlyForwarded { directive: directive(), who }
    } else {
        LeftOut::GrantsNothing { directive: directive(), who }
    });
    (false, left_out)
}

fn traps(oid: &str) -> String {
    if oid.eq_ignore_ascii_case("default") { "all traps".to_owned() } else { oid.to_owned() }
}

/// The OID or view that a grant is restricted to.
fn restriction(rest: &[&str]) -> Option<LeftOut> {
    match rest {
        [] | ["-v"] => None,
        ["-v", view, ..] | [view, ..] => Some(LeftOut::View((*view).to_owned())),
    }
}

/// `192.0.2.0/24`, `192.0.2.0/255.255.255.0` or an address.
fn network(source: &str) -> Option<IpNet> {
    if let Some((address, mask)) = source.split_once('/')
        && let (Ok(address), Ok(mask)) = (address.parse(), mask.parse())
    {
        return IpNet::with_netmask(address, mask).ok();
    }
    source.parse().ok().or_else(|| source.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

/// `162`, `udp:162`, `udp:192.0.2.1:162`, `tcp6:[::]:162` as a listener.
fn listener(address: &str) -> Option<String> {
    let (transport, rest) = match address.split_once(':') {
        Some((transport, rest)) if transport.chars().next().is_some_and(char::is_alphabetic) => {
            (transport, rest)
        }
        _ => ("udp", address),
    };
    let (scheme, any) = match transport.to_lowercase().as_str() {
        "udp" => ("", "0.0.0.0"),
        "udp6" | "udpv6" | "udpipv6" => ("", "[::]"),
        "tcp" => ("tcp://", "0.0.0.0"),
        "tcp6" | "tcpv6" | "tcpipv6" => ("tcp://", "[::]"),
        _ => return None,
    };
    let socket = if rest.parse::<u16>().is_ok() {
        format!("{any}:{rest}")
    } else if rest.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_ipv4()) {
        format!("{rest}:162")
    } else {
        rest.to_owned()
    };
    socket.parse::<std::net::SocketAddr>().ok().map(|socket| format!("{scheme}{socket}"))
}

/// The secret at the start of some words, and the words behind it.
fn secret<'w, 'a>(words: &'w [&'a str]) -> Option<(Result<Secret, String>, &'w [&'a str])> {
    match words {
        ["-m", _, rest @ ..] => {
            Some((Err("a master key (-m) is not supported; use the passphrase".to_owned()), rest))
        }
        ["-l", key, rest @ ..] => Some((Ok(Secret::Key(key.trim_start_matches("0x").to_lowercase())), rest)),
        [passphrase, rest @ ..] => Some((Ok(Secret::Password((*passphrase).to_owned())), rest)),
        [] => None,
    }
}

fn auth_protocol(name: &str) -> Option<&'static str> {
    Some(match name.to_uppercase().replace('-', "").as_str() {
        "MD5" => "MD5",
        "SHA" | "SHA1" => "SHA-1",
        "SHA224" => "SHA-224",
        "SHA256" => "SHA-256",
        "SHA384" => "SHA-384",
        "SHA512" => "SHA-512",
        _ => return None,
    })
}

fn privacy_protocol(name: &str) -> Option<&'static str> {
    Some(match name.to_uppercase().replace('-', "").as_str() {
        "DES" => "DES",
        "AES" | "AES128" => "AES-128",
        "AES192" => "AES-192",
        "AES256" => "AES-256",
        "AES192C" => "AES-192-C",
        "AES256C" => "AES-256-C",
        _ => return None,
    })
}

fn auth_oid(oid: &str) -> Option<&'static str> {
    Some(match oid.strip_prefix(".1.3.6.1.6.3.10.1.1.")? {
        "2" => "MD5",
        "3" => "SHA-1",
        "4" => "SHA-224",
        "5" => "SHA-256",
        "6" => "SHA-384",
        "7" => "SHA-512",
        _ => return None,
    })
}

fn privacy_oid(oid: &str) -> Option<&'static str> {
    Some(match oid.strip_prefix(".1.3.6.1.6.3.10.1.2.")? {
        "2" => "DES",
        "4" => "AES-128",
        _ => return None,
    })
}

/// A name that may be written in hex.
fn text(name: &str) -> String {
    let octets = name.strip_prefix("0x").map(|hex| {
        let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap_or(""));
        pairs.map_while(|pair| u8::from_str_radix(pair, 16).ok()).collect::<Vec<u8>>()
    });
    let octets = octets.map(|octets| octets.into_iter().take_while(|octet| *octet != 0).collect::<Vec<u8>>());
    octets.map_or_else(|| name.to_owned(), |octets| String::from_utf8_lossy(&octets).into_owned())
}
