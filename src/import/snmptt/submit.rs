//! Recognises EXEC lines that submit passive results: `submit_check_result`, `echo` into the command file,
//! `send_nsca`.

/// A result that an EXEC line submits. The fields still contain variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The host.
    pub host: String,
    /// The service; none for a host result.
    pub service: Option<String>,
    /// A number or a state.
    pub state: String,
    /// The output, with performance data behind a `|`.
    pub output: String,
}

/// The result that an EXEC line submits; none if the line does anything else.
pub fn submission(exec: &str) -> Option<Submission> {
    let mut tokens = tokens(exec)?;
    quiet(&mut tokens);
    let pipe = tokens.iter().position(|t| *t == Token::Sign("|"));
    let file = tokens.iter().position(|t| matches!(t, Token::Sign(">" | ">>")));
    let submission = match (pipe, file) {
        (None, None) => script(&words(&tokens)?),
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

/// `submit_check_result host service state output` and similar scripts, possibly behind an interpreter.
fn script(words: &[&str]) -> Option<Submission> {
    let is = |word: &&str| base_name(word).starts_with("submit_") && base_name(word).contains("check_result");
    let at = words.iter().take(3).position(is)?;
    let of_host = base_name(words[at]).contains("host");
    match (&words[at + 1..], of_host) {
        ([host, service, state, output @ ..], false) => Some(Submission {
            host: (*host).to_owned(),
            service: Some((*service).to_owned()),
            state: (*state).to_owned(),
            output: output.join(" "),
        }),
        ([host, state, output @ ..], true) => Some(Submission {
            host: (*host).to_owned(),
            service: None,
            state: (*state).to_owned(),
            output: output.join(" "),
        }),
        _ => None,
    }
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
    })
}

fn of_host(fields: &str, delimiter: &str) -> Option<Submission> {
    let mut fields = fields.splitn(3, delimiter).map(str::to_owned);
    Some(Submission { host: fields.next()?, service: None, state: fields.next()?, output: fields.next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_submit_results() {
        let dir = "/usr/local/nagios/libexec/eventhandlers";
        for exec in [
            &*format!("{dir}/submit_check_result $r TRAP 2 \"Drive $1 failed\""),
            &format!("{dir}/submit_check_result_via_nsca \"$r\" 'TRAP' 2 Drive $1 failed > /dev/null 2>&1 &"),
            &format!("/bin/sh {dir}/submit_check_result $r TRAP 2 \"Drive $1 failed\" >/dev/null"),
            "echo \"[$@] PROCESS_SERVICE_CHECK_RESULT;$r;TRAP;2;Drive $1 failed\" >> /var/lib/nagios/rw/nagios.cmd",
            "/bin/echo \"[`date +%s`] PROCESS_SERVICE_CHECK_RESULT;$r;TRAP;2;Drive $1 failed\" > /nagios.cmd",
            "printf \"[%lu] PROCESS_SERVICE_CHECK_RESULT;%s;TRAP;2;Drive $1 failed\\n\" $@ $r > /nagios.cmd",
            "/bin/echo -e \"$r\\tTRAP\\t2\\tDrive $1 failed\\n\" | /usr/sbin/send_nsca -H nms -c /etc/send_nsca.cfg",
            "printf \"%s\\t%s\\t%s\\t%s\\n\" \"$r\" TRAP 2 \"Drive $1 failed\" | send_nsca -H nms",
            "echo '$r;TRAP;2;Drive $1 failed' | send_nsca -d ';' -H nms",
            "echo \"$r$FtTRAP$Ft2$FtDrive $1 failed\" | send_nsca -H nms",
        ] {
            let expected = Submission {
                host: "$r".into(),
                service: Some("TRAP".into()),
                state: "2".into(),
                output: "Drive $1 failed".into(),
            };
            assert_eq!(submission(exec), Some(expected), "{exec}");
        }
        for exec in [
            "echo \"[$@] PROCESS_HOST_CHECK_RESULT;$A;1;down\" > /nagios.cmd",
            "/x/submit_host_check_result $A 1 down",
            "echo \"$A\\t1\\tdown\" | send_nsca -H nms",
        ] {
            let expected =
                Submission { host: "$A".into(), service: None, state: "1".into(), output: "down".into() };
            assert_eq!(submission(exec), Some(expected), "{exec}");
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
            assert_eq!(submission(exec), None, "{exec}");
        }
    }
}
