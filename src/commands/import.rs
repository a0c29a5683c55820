//! `trapline import`: what other programs were told, as rules.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::commands::args::ConfigArg;
use crate::commands::rule_file::ChangedFile;
use crate::config::loaded as setup;
use crate::files::named::{self, folder_of};
use crate::import::snmptrapd;
use crate::import::snmptt::submit::Wrapper;
use crate::import::snmptt::{self, Ini, LeftOut, Names, Options, ini};
use crate::outcome::result::State;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::input;
use crate::terminal::{eprintln, print};

/// The most that a file may have, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// Arguments of `trapline import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(subcommand)]
    what: What,
}

impl ImportArgs {
    /// Whether it does something besides what it prints.
    pub fn changes(&self) -> bool {
        match &self.what {
            What::Snmptt(args) => file(args.output.as_deref()).is_some(),
            What::Snmptrapd(args) => file(args.output.as_deref()).is_some(),
        }
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make rules from snmptt.conf files; everything that cannot be converted is listed with its line
    Snmptt(SnmpttArgs),
    /// Make a configuration from snmptrapd.conf files; everything that cannot be converted is listed with its line
    Snmptrapd(SnmptrapdArgs),
}

#[derive(Debug, Args)]
struct SnmptrapdArgs {
    /// The files; add net-snmp's persistent file (/var/lib/snmp/snmptrapd.conf) if users are only there
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write the configuration to this new file, which only its owner can read; - is standard output, as is the default
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct SnmpttArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The files, in the order of snmptt.ini
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write the rules to this new file; - is standard output, as is the default
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file of --output if it is there
    #[arg(long, requires = "output")]
    force: bool,
    /// snmptt's own configuration. Default: the settings that Debian ships
    #[arg(long, value_name = "FILE")]
    ini: Option<PathBuf>,
    /// Print values with the names of the MIBs, as snmptrapd does if it has them: up instead of 1
    #[arg(long)]
    names: bool,
    /// The state of a severity: Major=critical (ok, warning, critical, unknown); can be repeated
    #[arg(long, value_name = "NAME=STATE", value_parser = severity)]
    severity: Vec<(String, State)>,
    /// Your own script that submits results: send.sh, or send.sh=host,-,service,state,output (`-`: not sent); can be repeated
    #[arg(long, value_name = "NAME[=ARGUMENTS]")]
    submits: Vec<Wrapper>,
    /// A folder or file of MIBs in addition to those of the configuration, for EVENTs by name
    #[arg(long, value_name = "PATH")]
    mibs: Vec<PathBuf>,
}

fn severity(text: &str) -> Result<(String, State), String> {
    let wrong =
        || "write NAME=STATE with ok, warning, critical or unknown, such as Major=critical".to_owned();
    let (name, state) = text.split_once('=').ok_or_else(wrong)?;
    Ok((name.to_owned(), State::service(state).ok_or_else(wrong)?))
}

/// Runs a subcommand; false if the configuration is wrong. What is left out is listed, and no failure.
///
/// # Errors
///
/// If a file cannot be read or written.
pub fn run(args: &ImportArgs) -> anyhow::Result<bool> {
    match &args.what {
        What::Snmptt(args) => snmptt(args),
        What::Snmptrapd(args) => snmptrapd(args),
    }
}

/// What `--output` names, if that is not standard output, which is also what is meant without it.
fn file(output: Option<&Path>) -> Option<&Path> {
    output.filter(|path| !named::is_stdout(path))
}

fn snmptrapd(args: &SnmptrapdArgs) -> anyhow::Result<bool> {
    let imported = snmptrapd::import(&texts(&args.files)?);
    match file(args.output.as_deref()) {
        // For its owner alone: it has passwords.
        Some(path) => match named::create(path, 0o600, |out| out.write_all(imported.text.as_bytes())) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("{} is there already, and stays as it is; name another file", path.display())
            }
            written => written.map(drop).context("cannot write the configuration")?,
        },
        None => print!("{}", imported.text),
    }
    setup::print(&imported.left_out);
    eprintln!(
        "trapline: {} users, {} communities; {} things were left out or changed",
        imported.users,
        imported.communities,
        imported.left_out.len()
    );
    Ok(true)
}

/// The names and texts of files.
fn texts(files: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    files.iter().map(|path| Ok((path.display().to_string(), read(path)?))).collect()
}

fn snmptt(args: &SnmpttArgs) -> anyhow::Result<bool> {
    let Ok((config, _)) = setup::config(args.config.path().as_deref()).map_err(|found| setup::print(&found))
    else {
        return Ok(false);
    };
    let path = file(args.output.as_deref());
    let output = path.map(|path| output(path, args.force)).transpose()?;
    let (mibs, _) = setup::mibs(&config, &args.mibs);
    let mut settings = Ini { system_name: host_name(), ..Ini::default() };
    let mut not_carried = Diagnostics::default();
    if let Some(path) = &args.ini {
        let text = read(path)?;
        if !ini::is_ini(&text) {
            bail!(
                "{} is no snmptt.ini: it has no section, such as [General]; files of EVENTs are named without --ini",
                path.display()
            );
        }
        settings = settings.with(&text);
        let name = |path: &Path| path.file_name().map(ToOwned::to_owned);
        let is_read = |file: &str| args.files.iter().any(|one| name(one) == name(Path::new(file)));
        let others = ini::event_files(&text).into_iter().filter(|(_, file)| !is_read(file));
        let others = others.map(|(line, file)| (line, LeftOut::File(file.to_owned())));
        for (line, what) in ini::not_carried(&text).into_iter().chain(others) {
            not_carried.push(what.at(&path.display().to_string(), line));
        }
    }
    if args.names {
        settings.named_values = true;
        if settings.names == Names::Numbers {
            settings.names = Names::Short;
        }
    }
    let files = texts(&args.files)?;
    let wrappers = args.submits.clone();
    let options = Options { severities: args.severity.clone(), ini: settings, wrappers };
    let nodes = |file: &str| read(Path::new(file)).map_err(std::io::Error::other);
    let mut imported = snmptt::import(&files, &nodes, &mibs.mib, &options);
    imported.left_out.extend(not_carried);
    match output {
        Some(Output::File(file)) => file.replace(&imported.text)?,
        Some(Output::Stream(stream)) => {
            named::write_to(stream, path.unwrap_or(Path::new("-")), &imported.text)
                .context("cannot write the rules")?;
        }
        None => print!("{}", imported.text),
    }
    setup::print(&imported.left_out);
    eprintln!(
        "trapline: {} EVENTs became {} rules; {} things were left out or changed",
        imported.events,
        imported.rules,
        imported.left_out.clone().sorted().len()
    );
    Ok(true)
}

/// What `--output` leads to.
enum Output {
    /// A file, for this command alone.
    File(Box<ChangedFile>),
    /// A device, a FIFO or a pipe.
    Stream(File),
}

/// What is there stays unless it is told otherwise: somebody may have edited the rules.
fn output(path: &Path, force: bool) -> anyhow::Result<Output> {
    if let Some(stream) = named::stream(path).context("cannot write the rules")? {
        return Ok(Output::Stream(stream));
    }
    let folder = folder_of(path);
    match path.symlink_metadata() {
        // --force would not help.
        Ok(there) if there.is_symlink() => {
            bail!("{} is a symbolic link; name the file that it leads to, or another one", path.display())
        }
        Ok(_) if !force => {
            bail!(
                "{} is there already, and stays as it is; name another file, or add --force",
                path.display()
            )
        }
        Err(_) if !folder.is_dir() => {
            let folder = folder.display();
            bail!(
                "cannot write {}; there is no folder {folder}: make it, or name another file",
                path.display()
            )
        }
        _ => Ok(Output::File(Box::new(ChangedFile::open(path)?))),
    }
}

/// A file's text; snmptt's are of no encoding that is said, so what is not UTF-8 is Latin-1.
fn read(path: &Path) -> anyhow::Result<String> {
    let bytes =
        input::bytes(path, MAX_FILE).with_context(|| format!("cannot read {}", path.display()))?.to_vec();
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| error.into_bytes().iter().map(|byte| char::from(*byte)).collect()))
}

/// The name of this machine, for `$H`.
fn host_name() -> String {
    let name = nix::unistd::gethostname();
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ImportArgs,
    }

    #[test]
    fn no_import_replaces_a_file_unless_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("events"), "EVENT a .1.3.6.1.4.1.9.1 \"c\" Normal\nFORMAT a\n").unwrap();
        std::fs::write(path("traps"), "authCommunity log public\n").unwrap();
        std::fs::write(path("c.toml"), "[mibs]\npaths = []\n[journal]\ndirectory = \"j\"\n").unwrap();
        let config = path("c.toml").display().to_string();
        let of = |what: &str, file: &str, more: &[&str]| {
            let (out, from) = (path("out").display().to_string(), path(file).display().to_string());
            let words = [&["trapline", what, &from, "--output", &out][..], more].concat();
            run(&Line::try_parse_from(words).unwrap().args)
        };
        let snmptt = ["--config", &config];
        for (what, file, more) in [("snmptt", "events", &snmptt[..]), ("snmptrapd", "traps", &[])] {
            std::fs::write(path("out"), "edited by hand").unwrap();
            let said = of(what, file, more).unwrap_err().to_string();
            assert!(said.contains("is there already, and stays as it is; name another file"), "{said}");
            std::fs::remove_file(path("out")).unwrap();
            std::os::unix::fs::symlink(path("nowhere"), path("out")).unwrap();
            assert!(of(what, file, more).is_err() && !path("nowhere").exists());
            std::fs::remove_file(path("out")).unwrap();
            assert!(of(what, file, more).unwrap());
            std::fs::remove_file(path("out")).unwrap();
        }
        std::fs::write(path("out"), "old").unwrap();
        assert!(of("snmptt", "events", &[&snmptt[..], &["--force"]].concat()).unwrap());
        assert!(std::fs::read_to_string(path("out")).unwrap().contains("[[rule]]"));
    }
}
