//! Recognises EXEC lines that submit passive results: `submit_check_result`, Nagios XI's `snmptraphandling`, `echo` and
//! `printf` into the command file, `send_nsca`, and scripts that the user names.

/// A result that an EXEC line submits. The fields still contain variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Submission {
    /// The host.
    pub host: String,
    /// The service; none for a host result.
    pub service: Option<String>,
    /// A number, a state or a severity.
    pub state: String,
    /// The output, with performance data behind a `|`.
    pub output: String,
    /// Further words of the command line, which the script does not send.
    pub unused: Vec<String>,
}

/// A script of the user's that submits a result: which of its arguments are what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapper {
    /// The file name of the script, without its folder.
    pub name: String,
    /// What its arguments are, in their order.
    pub arguments: Vec<Argument>,
}

/// What an argument of a script is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// The host.
    Host,
    /// The service.
    Service,
    /// A number, a state or a severity.
    State,
    /// The output.
    Output,
    /// Nothing that is sent.
    Unused,
}

impl Argument {
    const ALL: [(&'static str, Argument); 5] = [
        ("host", Argument::Host),
        ("service", Argument::Service),
        ("state", Argument::State),
        ("output", Argument::Output),
        ("-", Argument::Unused),
    ];
    const RESULT: [Argument; 4] = [Argument::Host, Argument::Service, Argument::State, Argument::Output];
}

impl std::str::FromStr for Wrapper {
    type Err = String;

    /// `NAME` or `NAME=host,service,state,output`; `-` stands for an argument that is not sent.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, arguments) = match text.split_once('=') {
            None => (text, Argument::RESULT.to_vec()),
            Some((name, arguments)) => {
                let one = |word: &str| {
                    let known = Argument::ALL.iter().find(|(name, _)| *name == word.trim());
                    known.map(|(_, argument)| *argument).ok_or_else(|| {
                        format!("'{word}' is no argument; write host, service, state, output or -")
                    })
                };
                (name, arguments.split(',').map(one).collect::<Result<Vec<_>, _>>()?)
            }
        };
        let needed = [Argument::Host, Argument::State, Argument::Output];
        if name.is_empty() || !needed.iter().all(|argument| arguments.contains(argument)) {
            return Err("write NAME, or NAME=ARGUMENTS with host, state and output among them, such as send.sh=host,state,output".to_owned());
        }
        Ok(Wrapper { name: base_name(name).to_owned(), arguments })
    }
}

/// The result that an EXEC line submits; none if the line does anything else.
pub fn submission(exec: &str, wrappers: &[Wrapper]) -> Option<Submission> {
    let mut tokens = tokens(exec)?;
    quiet(&mut tokens);
    without_assignments(&mut tokens);
    if let [Token::Word(shell), Token::Word(flag), Token::Word(script)] = &tokens[..]
        && matches!(base_name(shell), "sh" | "bash" | "dash" | "ksh")
        && flag == "-c"
    {
        return submission(script, wrappers);
    }
    let pipe = tokens.iter().position(|t| *t == Token::Sign("|"));
    let file = tokens.iter().position(|t| matches!(t, Token::Sign(">" | ">>")));
    let submission = match (pipe, file) {
        (None, None) => script(&words(&tokens)?, wrappers),
        (Some(at), None) => nsca(&words(&tokens[..at])?, &words(&tokens[at + 1..])?),
        // One file and nothing behind it.
        (None, Some(at)) if tokens.len() == at + 2 => external_command(&printed(&words(&tokens[..at])?)?),
        _ => None,
    }?;
    // Substitutions of the shell are unknown.
    let fields = [&submission.host, &submission.state, &submission.output];
    let known = fields
        .into_iter()
        .chain(&submission.service)
        .all(|field| !field.contains(['`', '\n']) && !field.contains("$("));
    known.then_some(submission)
}

/// Removes `now=...;` in front of a command: of these only the time and the file of the command can be meant.
fn without_assignments(tokens: &mut Vec<Token>) {
    let is_assignment = |word: &str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    while let [Token::Word(word), Token::Sign(";" | "\n"), ..] = &tokens[..]
        && is_assignment(word)
    {
        tokens.drain(..2);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
}

/// Splits a command into words and signs of the shell; none if a quote is not closed.
fn tokens(text: &str) -> Option<Vec<Token>> {
    const SIGNS: [&str; 11] = [">>", ">&", "2>", "&&", "||", ">", "<", "|", ";", "&", "\n"];
    let mut tokens = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let at_word_start = word.is_none();
        let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign) && (*sign != "2>" || at_word_start));
        if let Some(sign) = sign {
            tokens.extend(word.take().map(Token::Word));
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
            continue;
        }
        let mut taken = c.len_utf8();
        match c {
            c if c.is_whitespace() => tokens.extend(word.take().map(Token::Word)),
            '\'' => {
                let end = rest[1..].find('\'')?;
                word.get_or_insert_default().push_str(&rest[1..=end]);
                taken = end + 2;
            }
            '"' => taken = double_quoted(rest, word.get_or_insert_default())?,
            '\\' => {
                let next = rest[1..].chars().next()?;
                word.get_or_insert_default().push(next);
                taken = 1 + next.len_utf8();
            }
            '$' if rest.starts_with("$(") => {
                let end = rest.find(')')?;
                word.get_or_insert_default().push_str(&rest[..=end]);
                taken = end + 1;
            }
            '`' => {
                let end = rest[1..].find('`')?;
                word.get_or_insert_default().push_str(&rest[..end + 2]);
                taken = end + 2;
            }
            c => word.get_or_insert_default().push(c),
        }
        rest = &rest[taken..];
    }
    tokens.extend(word.map(Token::Word));
    Some(tokens)
}

/// Appends the text in double quotes and returns its length with the quotes.
fn double_quoted(text: &str, word: &mut String) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some(at + 1),
            '\\' => match chars.next()?.1 {
                c @ ('"' | '\\' | '`') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
    None
}

/// Removes redirections to /dev/null and `&` at the end.
fn quiet(tokens: &mut Vec<Token>) {
    loop {
        let keep = match &tokens[..] {
            [keep @ .., Token::Sign("&" | ";" | "\n")] => keep.len(),
            [keep @ .., Token::Sign(">" | ">>" | "2>"), Token::Word(file)] if file == "/dev/null" => {
                keep.len()
            }
            [keep @ .., Token::Sign("2>"), Token::Sign("&"), Token::Word(one)] if one == "1" => keep.len(),
            _ => return,
        };
        tokens.truncate(keep);
    }
}

/// The words of tokens; none if there are signs.
fn words(tokens: &[Token]) -> Option<Vec<&str>> {
    tokens
        .iter()
        .map(|token| match token {
            Token::Word(word) => Some(word.as_str()),
            Token::Sign(_) => None,
        })
        .collect()
}

fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Where the arguments of the known scripts are. Nagios XI's `snmptraphandling.py` has the time and performance data
/// between the state and the output.
fn known_script(name: &str) -> Option<&'static [Argument]> {
    use Argument::{Host, Output, Service, State, Unused};
    if name.starts_with("submit_") && name.contains("check_result") {
        return Some(if name.contains("host") { &[Host, State, Output] } else { &Argument::RESULT });
    }
    if name.contains("snmptraphandling") {
        let is_python = std::path::Path::new(name).extension().is_some_and(|end| end == "py");
        return Some(if is_python {
            &[Host, Service, State, Unused, Unused, Output]
        } else {
            &Argument::RESULT
        });
    }
    None
}

/// A script that submits a result, possibly behind an interpreter. It sends one word as the output, as Nagios' own does:
/// a text without quotes is cut.
fn script(words: &[&str], wrappers: &[Wrapper]) -> Option<Submission> {
    let arguments_of = |word: &&str| {
        let name = base_name(word);
        let own = wrappers.iter().find(|wrapper| wrapper.name == name);
        own.map(|wrapper| wrapper.arguments.as_slice()).or_else(|| known_script(name))
    };
    let (at, arguments) =
        words.iter().take(3).enumerate().find_map(|(at, word)| Some((at, arguments_of(word)?)))?;
    let given = &words[at + 1..];
    let (given, rest) = given.split_at_checked(arguments.len())?;
    let mut submission = Submission::default();
    for (argument, word) in arguments.iter().zip(given) {
        let word = (*word).to_owned();
        match argument {
            Argument::Host => submission.host = word,
            Argument::Service => submission.service = Some(word),
            Argument::State => submission.state = word,
            Argument::Output => submission.output = word,
            Argument::Unused => {}
        }
    }
    submission.unused = rest.iter().map(|word| (*word).to_owned()).collect();
    Some(submission)
}

/// The text that `echo` or `printf` prints.
fn printed(words: &[&str]) -> Option<String> {
    let (command, args) = words.split_first()?;
    match base_name(command) {
        "echo" => {
            let is_flag =
                |word: &&&str| word.starts_with('-') && word[1..].chars().all(|c| "neE".contains(c));
            let flags = args.iter().take_while(is_flag).count();
            Some(escapes(&args[flags..].join(" ")))
        }
        "printf" => {
            let (format, args) = args.split_first()?;
            let mut args = args.iter();
            let mut text = String::new();
            let mut rest = *format;
            while let Some(at) = rest.find('%') {
                text.push_str(&rest[..at]);
                rest = &rest[at + 1..];
                if let Some(after) = rest.strip_prefix('%') {
                    text.push('%');
                    rest = after;
                    continue;
                }
                let end = rest.find(['s', 'd', 'u', 'b', 'i'])?;
                let is_plain = rest[..end].chars().all(|c| c == 'l');
                text.push_str(args.next().filter(|_| is_plain)?);
                rest = &rest[end + 1..];
            }
            text.push_str(rest);
            args.next().is_none().then(|| escapes(&text))
        }
        _ => None,
    }
}

/// Resolves `\n` and `\t` and removes newlines at the end.
fn escapes(text: &str) -> String {
    let text = text.replace("\\n", "\n").replace("\\t", "\t");
    text.trim_end_matches('\n').to_owned()
}

/// `[time] PROCESS_SERVICE_CHECK_RESULT;host;service;state;output`
fn external_command(text: &str) -> Option<Submission> {
    let (_, command) = text.trim_start().strip_prefix('[')?.split_once(']')?;
    let (name, fields) = command.trim_start().split_once(';')?;
    match name {
        "PROCESS_SERVICE_CHECK_RESULT" => of_service(fields, ";"),
        "PROCESS_HOST_CHECK_RESULT" => of_host(fields, ";"),
        _ => None,
    }
}

/// `printf "host\tservice\tstate\toutput\n" | send_nsca ...`
fn nsca(print: &[&str], send: &[&str]) -> Option<Submission> {
    let is_nsca = send.first().is_some_and(|word| base_name(word) == "send_nsca");
    let text = printed(print).filter(|_| is_nsca)?;
    let delimiter = send.iter().position(|word| *word == "-d").and_then(|at| send.get(at + 1));
    let delimiter = delimiter.copied().unwrap_or("\t");
    let text = text.replace("$Ft", "\t");
    match text.matches(delimiter).count() {
        2 => of_host(&text, delimiter),
        _ => of_service(&text, delimiter),
    }
}

fn of_service(fields: &str, delimiter: &str) -> Option<Submission> {
    let mut fields = fields.splitn(4, delimiter).map(str::to_owned);
    Some(Submission {
        host: fields.next()?,
        service: Some(fields.next()?),
        state: fields.next()?,
        output: fields.next()?,
        unused: Vec::new(),
    })
}

fn of_host(fields: &str, delimiter: &str) -> Option<Submission> {
    let mut fields = fields.splitn(3, delimiter).map(str::to_owned);
    Some(Submission {
        host: fields.next()?,
        service: None,
        state: fields.next()?,
        output: fields.next()?,
        unused: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_submit_results() {
        let dir = "/usr/local/nagios/libexec/eventhandlers";
        for exec in [
            &*format!("{dir}/submit_check_result $r TRAP 2 \"Drive $1 failed\""),
            &format!(
                "{dir}/submit_check_result_via_nsca \"$r\" 'TRAP' 2 'Drive $1 failed' > /dev/null 2>&1 &"
            ),
            &format!("/bin/sh {dir}/submit_check_result $r TRAP 2 \"Drive $1 failed\" >/dev/null"),
            "echo \"[$@] PROCESS_SERVICE_CHECK_RESULT;$r;TRAP;2;Drive $1 failed\" >> /var/lib/nagios/rw/nagios.cmd",
            "/bin/echo \"[`date +%s`] PROCESS_SERVICE_CHECK_RESULT;$r;TRAP;2;Drive $1 failed\" > /nagios.cmd",
            "printf \"[%lu] PROCESS_SERVICE_CHECK_RESULT;%s;TRAP;2;Drive $1 failed\\n\" $@ $r > /nagios.cmd",
            "/bin/echo -e \"$r\\tTRAP\\t2\\tDrive $1 failed\\n\" | /usr/sbin/send_nsca -H nms -c /etc/send_nsca.cfg",
            "printf \"%s\\t%s\\t%s\\t%s\\n\" \"$r\" TRAP 2 \"Drive $1 failed\" | send_nsca -H nms",
            "echo '$r;TRAP;2;Drive $1 failed' | send_nsca -d ';' -H nms",
            "echo \"$r$FtTRAP$Ft2$FtDrive $1 failed\" | send_nsca -H nms",
            "printf \"[%lu] PROCESS_SERVICE_CHECK_RESULT;$r;TRAP;2;Drive $1 failed\\n\" $(date +%s) > /nagios.cmd",
            "now=`date +%s`; /usr/bin/printf \"[%lu] PROCESS_SERVICE_CHECK_RESULT;$r;TRAP;2;Drive $1 failed\\n\" $now > /n.cmd",
            "/bin/sh -c 'echo \"[$@] PROCESS_SERVICE_CHECK_RESULT;$r;TRAP;2;Drive $1 failed\" > /nagios.cmd'",
            "/usr/local/bin/snmptraphandling.py \"$r\" TRAP 2 \"$@\" \"$-*\" \"Drive $1 failed\"",
            "check_snmptraphandling.sh $r TRAP 2 'Drive $1 failed'",
            "/opt/site/to_nagios.sh $r 7 TRAP 'Drive $1 failed' 2",
        ] {
            let expected = Submission {
                host: "$r".into(),
                service: Some("TRAP".into()),
                state: "2".into(),
                output: "Drive $1 failed".into(),
                unused: Vec::new(),
            };
            let own = "to_nagios.sh=host,-,service,output,state".parse().unwrap();
            assert_eq!(submission(exec, &[own]), Some(expected), "{exec}");
        }
        for exec in [
            "echo \"[$@] PROCESS_HOST_CHECK_RESULT;$A;1;down\" > /nagios.cmd",
            "/x/submit_host_check_result $A 1 down",
            "echo \"$A\\t1\\tdown\" | send_nsca -H nms",
        ] {
            let expected = Submission {
                host: "$A".into(),
                service: None,
                state: "1".into(),
                output: "down".into(),
                unused: Vec::new(),
            };
            assert_eq!(submission(exec, &[]), Some(expected), "{exec}");
        }
    }

    /// The community is a common fifth argument, and no script sends it.
    #[test]
    fn words_behind_the_output_are_not_sent() {
        let found = submission("submit_check_result $A TRAP 1 \"Error $1\" \"$CA\" x", &[]).unwrap();
        assert_eq!(
            (found.output.as_str(), found.unused),
            ("Error $1", vec!["$CA".to_owned(), "x".to_owned()])
        );
        let found = submission("submit_check_result $A TRAP 1 Drive failed", &[]).unwrap();
        assert_eq!((found.output.as_str(), found.unused), ("Drive", vec!["failed".to_owned()]));
    }

    #[test]
    fn wrappers() {
        let wrapper: Wrapper = "/opt/send.sh".parse().unwrap();
        assert_eq!((wrapper.name.as_str(), wrapper.arguments.len()), ("send.sh", 4));
        for wrong in ["a=host,state", "a=host,service,status,output", "=host,state,output"] {
            assert!(wrong.parse::<Wrapper>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn lines_that_do_anything_else() {
        for exec in [
            "/usr/bin/qpage -f TRAP alex \"$r: $x $X - NIC\"",
            "echo \"$r\" | mail -s trap root",
            "submit_check_result $r TRAP 2 \"a\" && reboot",
            "submit_check_result $r TRAP 2 \"`hostname`\"",
            "submit_check_result $r TRAP",
            "echo \"unclosed",
            "echo \"[1] SHUTDOWN_PROGRAM\" > /nagios.cmd",
            "",
        ] {
            assert_eq!(submission(exec, &[]), None, "{exec}");
        }
    }
}
