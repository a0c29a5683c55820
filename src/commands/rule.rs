//! `trapline rule`: the rules in force, and the shipped packs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::commands::args::ConfigArg;
use crate::commands::rule_new;
use crate::config::loaded as setup;
use crate::files::named;
use crate::outcome::name::visible;
use crate::rules::compile::{RuleFile, is_shipped};
use crate::rules::matching::Matcher;
use crate::rules::shipped::{self, Packs};
use crate::rules::{Rule, RuleSet, files};
use crate::settings::diagnostic::{Diagnostics, did_you_mean};
use crate::terminal::{eprintln, print};

/// Arguments of `trapline rule`.
#[derive(Debug, Args)]
pub struct RuleArgs {
    #[command(subcommand)]
    what: What,
}

impl RuleArgs {
    /// Whether it does something besides what it prints.
    pub fn changes(&self) -> bool {
        match &self.what {
            What::List(_) | What::Show(_) => false,
            What::New(args) => args.changes(),
            What::Copy(args) => args.file().is_some(),
        }
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the rules in force, in order, with their files
    List(ListArgs),
    /// Print the source of rules or packs
    Show(ShowArgs),
    /// Make a rule, with its test, from an unmatched message or a notification of a MIB module
    New(rule_new::NewArgs),
    /// Copy shipped packs or rules to your own file; a copied rule replaces the shipped one
    Copy(CopyArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Only rules whose id, file or trap contains this text
    part: Option<String>,
    /// Print one JSON document per line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Ids of rules, or names of packs
    #[arg(required = true)]
    names: Vec<String>,
}

#[derive(Debug, Args)]
struct CopyArgs {
    /// Ids of shipped rules, or names of packs
    #[arg(required = true)]
    names: Vec<String>,
    /// A new file, or a folder for PACK.toml; - is standard output, as is the default
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
}

impl CopyArgs {
    /// What `--to` names, if that is not standard output, which is also what is meant without it.
    fn file(&self) -> Option<&Path> {
        self.to.as_deref().filter(|path| !named::is_stdout(path))
    }
}

/// Runs a subcommand; false if something is wrong or not found.
///
/// # Errors
///
/// If a file cannot be written.
pub fn run(args: &RuleArgs) -> anyhow::Result<bool> {
    match &args.what {
        What::List(args) => Ok(list(args)),
        What::Show(args) => {
            let Ok((config, _)) = setup::config(args.config.path().as_deref()).map_err(|f| setup::print(&f))
            else {
                return Ok(false);
            };
            let mut found = Diagnostics::default();
            // All packs, also those that are not in force.
            let files = files::rule_files(&config.rule_paths, Some(&config.console), &Packs::All, &mut found);
            setup::print(&found);
            let Some(text) = texts(&files, &args.names) else { return Ok(false) };
            print!("{text}");
            Ok(true)
        }
        What::New(args) => rule_new::run(args),
        What::Copy(args) => copy(args),
    }
}

fn list(args: &ListArgs) -> bool {
    let Some(setup) = setup::ready(args.config.path().as_deref()) else { return false };
    let Some(rules) = &setup.compiled.rules else { return false };
    let mut text = String::new();
    let mut file = "";
    let mut count = 0;
    for rule in rules.rules() {
        let what = what(rule, rules);
        if args.part.as_ref().is_some_and(|part| !has(part, &[&rule.id, &rule.file, &what])) {
            continue;
        }
        count += 1;
        if args.json {
            let shipped = is_shipped(&rule.file);
            let one = json!({ "id": rule.id, "file": &*rule.file, "shipped": shipped, "for": what, "tags": rule.tags });
            let _ = writeln!(text, "{one}");
            continue;
        }
        if file != &*rule.file {
            file = &rule.file;
            let _ = writeln!(text, "{}", visible(file));
        }
        let _ = writeln!(text, "  {:<44} {}", visible(&rule.id), visible(&what));
    }
    print!("{text}");
    if count == 0 {
        eprintln!("trapline: no rule in force contains this text; `trapline rule list` shows all");
    }
    count > 0
}

fn has(part: &str, texts: &[&str]) -> bool {
    let part = part.to_lowercase();
    texts.iter().any(|text| text.to_lowercase().contains(&part))
}

/// The messages that a rule is for, in a few words.
fn what(rule: &Rule, rules: &RuleSet) -> String {
    match &rule.matcher {
        Matcher::Syslog(_) => "syslog".to_owned(),
        Matcher::Posted(posted) => match posted.names.as_slice() {
            [one] => format!("{} {one}", posted.kind.as_str()),
            several => format!("{} of {} names", posted.kind.as_str(), several.len()),
        },
        Matcher::Trap(traps) => {
            let one =
                |trap: &crate::rules::matching::TrapPattern| match (trap.subtree, trap.oid.arcs().count()) {
                    (true, 0) => "*".to_owned(),
                    (true, _) => format!("{}.*", rules.mib().name_of(&trap.oid)),
                    (false, _) => rules.mib().name_of(&trap.oid),
                };
            match traps.as_slice() {
                [] => "no trap".to_owned(),
                [first] => one(first),
                [first, rest @ ..] => format!("{} and {} more", one(first), rest.len()),
            }
        }
    }
}

fn copy(args: &CopyArgs) -> anyhow::Result<bool> {
    let files = shipped::files(&Packs::All);
    let Some(text) = texts(&files, &args.names) else { return Ok(false) };
    let Some(to) = args.file() else {
        print!("{text}");
        return Ok(true);
    };
    let path = if to.is_dir() { to.join(format!("{}.toml", args.names[0])) } else { to.to_owned() };
    if create(&path, &text)? {
        eprintln!(
            "trapline: wrote {}; its rules take the place of the shipped ones after a reload if [rules] paths has it",
            path.display()
        );
    }
    Ok(true)
}

/// Creates a file; one that exists is not overwritten. A FIFO or a device is written to; then false: it keeps no rules.
fn create(path: &Path, text: &str) -> anyhow::Result<bool> {
    match named::create(path, 0o666, |out| out.write_all(text.as_bytes())) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} exists; remove it, or name another file with --to", path.display())
        }
        written => written.map(|file| file.is_some()).context("cannot write the copy"),
    }
}

/// The texts of rules and packs of these names, a blank line between two, with the `[labels]` of their files; none if one is unknown, or
/// if one file cannot have all of them, which is said.
fn texts(files: &[RuleFile], names: &[String]) -> Option<String> {
    let mut texts = Vec::new();
    let mut labels = BTreeSet::new();
    for name in names {
        let of_pack = files.iter().find(|file| pack_name(&file.name) == *name);
        let in_file = |file: &RuleFile| {
            let (rest, labels) = without_labels(&file.text);
            let (_, text) = blocks(&rest).into_iter().find(|(id, _)| id == name)?;
            Some((text, labels))
        };
        let found = of_pack.map(|file| without_labels(file.text.trim_end()));
        let Some((text, of_file)) = found.or_else(|| files.iter().find_map(in_file)) else {
            let all: Vec<String> =
                files.iter().flat_map(|file| blocks(&file.text)).map(|(id, _)| id).collect();
            let known = all.iter().map(String::as_str).chain(files.iter().map(|f| pack_name(&f.name)));
            let hint = did_you_mean(name, known)
                .unwrap_or_else(|| "`trapline rule list` shows the rules".to_owned());
            eprintln!("trapline: there is no rule and no pack '{}'; {hint}", name.escape_debug());
            return None;
        };
        labels.insert(of_file);
        texts.push(text.trim_end().to_owned());
    }
    if labels.len() > 1 {
        eprintln!(
            "trapline: their files have different [labels], which are for all rules of a file; name rules and packs of one file at a time"
        );
        return None;
    }
    texts.splice(0..0, labels.into_iter().flatten());
    Some(texts.join("\n\n") + "\n")
}

/// The text of a rule file without its `[labels]`, and these.
fn without_labels(text: &str) -> (String, Option<String>) {
    let (mut rest, mut labels) = (String::with_capacity(text.len()), String::new());
    let mut within = false;
    for line in text.lines() {
        match line.trim_start() {
            line if line.trim_end() == "[labels]" => within = true,
            // A comment is that of what follows it.
            line if line.starts_with('[') || (within && line.starts_with('#')) => within = false,
            _ => {}
        }
        let part = if within { &mut labels } else { &mut rest };
        part.push_str(line);
        part.push('\n');
    }
    (rest, Some(labels.trim_end().to_owned()).filter(|labels| !labels.is_empty()))
}

/// The name of a file without its folder and `.toml`.
fn pack_name(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.strip_suffix(".toml").unwrap_or(name)
}

/// The ids and texts of the rules in a file, each with the comment above it.
fn blocks(text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let starts: Vec<usize> = (0..lines.len())
        .filter(|at| lines[*at].trim() == "[[rule]]")
        .map(|at| {
            let comments = lines[..at].iter().rev().take_while(|line| line.starts_with('#')).count();
            at - comments
        })
        .collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| {
            let block = lines[*start..end].join("\n");
            let id = block.lines().find_map(|line| {
                let (key, value) = line.split_once('=')?;
                (key.trim() == "id").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
            })?;
            Some((id, block.trim_end().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::mib::Mib;
    use crate::rules::compile::compile;

    fn mib() -> Arc<Mib> {
        crate::mib::load::shipped_once()
    }

    #[test]
    fn every_shipped_rule_can_be_shown_and_copied_alone() {
        for file in shipped::files(&Packs::All) {
            let ids: Vec<String> = blocks(&file.text).into_iter().map(|(id, _)| id).collect();
            assert_eq!(ids.len(), file.text.matches("[[rule]]\n").count(), "{}", file.name);
            for id in ids {
                let text = texts(std::slice::from_ref(&file), std::slice::from_ref(&id)).unwrap();
                assert_eq!(text.matches("[[rule]]\n").count(), 1, "{id}");
                assert!(toml::de::DeTable::parse(&text).is_ok(), "{id}: {text}");
            }
            let pack = pack_name(&file.name).to_owned();
            assert!(texts(std::slice::from_ref(&file), &[pack]).is_some());
        }
        assert!(texts(&shipped::files(&Packs::All), &["no-such-rule".to_owned()]).is_none());
    }

    #[test]
    fn a_rule_keeps_the_labels_of_its_file() {
        let rule = |id: &str| {
            format!(
                "# about {id}\n[[rule]]\nid = \"{id}\"\ntrap = \"IF-MIB::linkDown\"\n\
                 [rule.check]\nservice = \"s\"\nstate = \"ok\"\n"
            )
        };
        let labels = "[labels]\nteam = \"net\"\n";
        let file = |name: &str, text: String| RuleFile { name: name.into(), text: text.into() };
        let (a, b) = (rule("a"), rule("b"));
        for text in
            [format!("{labels}\n{a}\n{b}"), format!("{a}\n{labels}\n{b}"), format!("{a}\n{b}\n{labels}")]
        {
            let files = [file("x.toml", text.clone()), file("y.toml", rule("c"))];
            let of = |names: &[&str]| {
                texts(&files, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
            };
            for names in [&["a"][..], &["b"], &["a", "b"], &["x"]] {
                let copied = of(names).unwrap();
                let compiled = compile(&[file("mine.toml", copied.clone())], mib());
                assert_eq!(compiled.found.to_text(), "", "{copied}");
                let rules = compiled.rules.unwrap();
                assert_eq!(rules.rules().len(), if names == ["x"] { 2 } else { names.len() }, "{copied}");
                assert!(rules.rules().iter().all(|rule| &*rule.labels[0].0 == "team"), "{copied}");
                assert!(copied.contains("# about"), "{copied}");
            }
            // They would give their labels to each other's rules.
            assert_eq!(of(&["a", "c"]), None);
            assert!(!of(&["c"]).unwrap().contains("[labels]"));
        }
    }

    #[test]
    fn a_copy_replaces_nothing_and_goes_through_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("there"), "as it was").unwrap();
        std::os::unix::fs::symlink(path("there"), path("link")).unwrap();
        std::os::unix::fs::symlink(path("nowhere"), path("dangling")).unwrap();
        for name in ["there", "link", "dangling"] {
            let said = create(&path(name), "x").unwrap_err().to_string();
            assert!(said.contains("exists; remove it"), "{said}");
        }
        assert!(!path("nowhere").exists());
        assert_eq!(std::fs::read_to_string(path("there")).unwrap(), "as it was");
        create(&path("new"), "x").unwrap();
        assert!(create(&path("none/new"), "x").is_err());
    }

    #[test]
    fn a_copied_rule_takes_the_place_of_the_shipped_one() {
        let mut files = shipped::files(&Packs::All);
        let mib = mib();
        let count = compile(&files, mib.clone()).rules.unwrap().rules().len();
        let text = texts(&files, &["ups-on-battery".to_owned()]).unwrap();
        files.insert(0, RuleFile { name: "mine.toml".into(), text: text.into() });
        let compiled = compile(&files, mib);
        assert_eq!(compiled.found.to_text(), "");
        let rules = compiled.rules.unwrap();
        assert_eq!(rules.rules().len(), count);
        assert_eq!((&*rules.rules()[0].id, &*rules.rules()[0].file), ("ups-on-battery", "mine.toml"));
    }
}
