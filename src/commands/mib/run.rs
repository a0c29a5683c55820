//! `trapline mib`: what the loaded MIBs know.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::commands::args::{ConfigArg, mib_name};
use crate::commands::mib::show::{self, Palette};
use crate::commands::mib::{add, compile};
use crate::config::Config;
use crate::config::loaded as setup;
use crate::import::mib::{self as generate, Comments};
use crate::mib::load::cache::{self, How};
use crate::mib::load::{Held, ModuleFile, module_files};
use crate::mib::{Kind, Mib, Object};
use crate::settings::diagnostic::did_you_mean;
use crate::settings::input;
use crate::terminal::{self, eprintln, print, println};

/// Arguments of `trapline mib`.
#[derive(Debug, Args)]
pub struct MibArgs {
    #[command(subcommand)]
    what: What,
}

impl MibArgs {
    /// Whether it does something besides what it prints.
    pub fn changes(&self) -> bool {
        match &self.what {
            What::Add(_) | What::Compile(_) => true,
            What::Load(args) => args.index.is_some(),
            What::Find(_) | What::Tree(_) | What::Rules(_) => false,
        }
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// Load modules, and report what was read and errors in them
    Load(LoadArgs),
    /// Find definitions by name, part of a name, or OID
    Find(FindArgs),
    /// Show a subtree
    Tree(FindArgs),
    /// Make rules with tests for the notifications of modules
    Rules(RulesArgs),
    /// Add vendor modules to a folder, and report missing imports and new definitions
    Add(add::AddArgs),
    /// Compile modules into one file, for machines without their texts
    Compile(compile::CompileArgs),
}

#[derive(Debug, Args)]
struct RulesArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// A folder or file in addition to those of the configuration
    #[arg(long, value_name = "PATH")]
    mibs: Vec<PathBuf>,
    /// The modules; all that have notifications without any
    modules: Vec<String>,
}

#[derive(Debug, Args)]
struct LoadArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Folders and files, in the place of those of the configuration
    paths: Vec<PathBuf>,
    /// The file of the index, which is created or opened. Default: the daemon's index, if the journal directory exists and
    /// no PATHS are given
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// End when standard input does: for the daemon, which has modules read by a process of their own
    #[arg(long, hide = true)]
    while_stdin: bool,
}

#[derive(Debug, Args)]
struct FindArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// A folder or file in addition to those of the configuration
    #[arg(long, value_name = "PATH")]
    mibs: Vec<PathBuf>,
    /// A name, a part of one, or an OID
    #[arg(value_parser = mib_name)]
    name: String,
    /// Print one JSON document per line
    #[arg(long)]
    json: bool,
}

/// Runs a subcommand; false if something is wrong or nothing is found.
///
/// # Errors
///
/// If modules cannot be added or written.
pub fn run(args: &MibArgs) -> anyhow::Result<bool> {
    Ok(match &args.what {
        What::Load(args) => load_modules(args),
        What::Find(args) => with_mib(args, |mib| found(mib, &args.name)),
        What::Tree(args) => with_mib(args, |mib| below(mib, &args.name)),
        What::Rules(args) => rules(args),
        What::Add(args) => return add::run(args),
        What::Compile(args) => return compile::run(args),
    })
}

fn load_modules(args: &LoadArgs) -> bool {
    let (paths, index) = if args.paths.is_empty() {
        let Some(config) = read(&args.config) else { return false };
        // The daemon's own index, so that its next start has nothing to read.
        let directory = &config.journal.directory;
        let kept = Some(setup::mib_index(&config)).filter(|_| directory.is_dir());
        if kept.is_none() && args.index.is_none() && !args.while_stdin {
            eprintln!(
                "trapline: the index is not kept: {} is not there, the daemon makes it at its first start; name a file with --index",
                directory.display()
            );
        }
        (config.mib_paths, args.index.clone().or(kept))
    } else {
        (args.paths.clone(), args.index.clone())
    };
    if args.while_stdin {
        end_with_stdin();
    }
    let start = Instant::now();
    let (Held { mib, found, .. }, how) = cache::load(&paths, index.as_deref(), &Held::default(), &setup::say);
    let seconds = start.elapsed().as_secs_f64();
    let count = |kind| mib.objects().iter().filter(|o| o.kind == kind).count();
    let (objects, notifications) = (count(Kind::Object), count(Kind::Notification));
    let failed = found.clone().sorted();
    if args.json {
        let failed: Vec<Value> = failed
            .iter()
            .map(|d| {
                let (line, column) = d.place.unzip();
                json!({ "file": d.file, "line": line, "column": column, "message": d.message })
            })
            .collect();
        let all = json!({
            "modules": mib.modules().len(), "objects": objects, "notifications": notifications,
            "definitions": mib.objects().len(), "seconds": seconds, "peak_kb": peak(),
            "from_index": how == How::Opened, "failed": failed,
        });
        println!("{all}");
    } else {
        setup::print(&found);
        println!(
            "{} modules, {objects} objects, {notifications} notifications in {seconds:.2} s; {} things that could not be read",
            mib.modules().len(),
            failed.len()
        );
    }
    !found.has_errors()
}

/// The most memory that this process has had resident, in kB, where the system tells (proc(5)).
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The configuration; none if it is wrong, which is said.
fn read(config: &ConfigArg) -> Option<Config> {
    setup::config(config.path().as_deref())
        .map_err(|found| setup::print(&found))
        .ok()
        .map(|(config, _)| config)
}

/// Ends this process as soon as nobody holds the other end of its standard input.
fn end_with_stdin() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
}

fn with_mib<'a>(args: &'a FindArgs, select: impl Fn(&'_ Mib) -> Vec<usize> + 'a) -> bool {
    let Some(config) = read(&args.config) else { return false };
    let (Held { mib, found, .. }, _) = setup::mibs(&config, &args.mibs);
    if found.has_errors() {
        setup::print(&found);
        return false;
    }
    let places = select(&mib);
    let palette = Palette::of_stdout();
    let depth = places.first().map_or(0, |first| mib.objects()[*first].oid.arcs().count());
    for place in &places {
        let object = &mib.objects()[*place];
        if args.json {
            println!("{}", show::json(object, &mib));
        } else {
            terminal::paint(format_args!("{}\n", show::line(object, &mib, depth, palette)));
        }
    }
    // Of one thing all there is to say.
    if let ([only], false) = (places.as_slice(), args.json) {
        terminal::paint(format_args!("{}", show::about(&mib.objects()[*only], &mib, palette)));
    }
    if places.is_empty() {
        eprintln!(
            "trapline: no loaded MIB knows '{}'; add the folder of its MIB with --mibs",
            args.name.escape_debug()
        );
    }
    !places.is_empty()
}

/// Prints rules; false if a module is not there.
fn rules(args: &RulesArgs) -> bool {
    let Some(config) = read(&args.config) else { return false };
    let (Held { mib, .. }, paths) = setup::mibs(&config, &args.mibs);
    let known: Vec<&str> = mib.modules().iter().map(AsRef::as_ref).collect();
    if let Some(module) = args.modules.iter().find(|module| !known.contains(&module.as_str())) {
        let hint = did_you_mean(module, known.iter().copied())
            .unwrap_or_else(|| "add the folder of it with --mibs".to_owned());
        eprintln!("trapline: there is no module '{}'; {hint}", module.escape_debug());
        return false;
    }
    let wanted: Vec<&str> =
        if args.modules.is_empty() { known } else { args.modules.iter().map(String::as_str).collect() };
    for module in &args.modules {
        let mut of_module = mib.objects().iter().filter(|object| *object.module == **module);
        if !of_module.any(|object| object.kind == Kind::Notification) {
            eprintln!("trapline: {module} defines no notifications");
        }
    }
    print!("{}", generate::rules(&mib, &wanted, &comments(&paths, &wanted)));
    true
}

/// The comments in the texts of these modules.
pub fn comments(paths: &[PathBuf], modules: &[&str]) -> Comments {
    let mut all = Comments::default();
    let defines = |text: &str| {
        modules.iter().any(|module| {
            text.match_indices(module)
                .any(|(at, _)| text[at + module.len()..].trim_start().starts_with("DEFINITIONS"))
        })
    };
    for ModuleFile { path, .. } in module_files(paths).files {
        let text = input::bytes(&path, input::DATA)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        if text.contains("--#") && defines(&text) {
            all.read(&text);
        }
    }
    all
}

/// Definitions of this name or OID; without such, those whose names have it in them.
fn found(mib: &Mib, name: &str) -> Vec<usize> {
    let place = |object: &Object| mib.place(object);
    let exact: Vec<usize> = match name.parse() {
        Ok(oid) => mib.lookup(&oid).and_then(place).into_iter().collect(),
        Err(_) => mib.find(name.split('.').next().unwrap_or(name)).filter_map(place).collect(),
    };
    if !exact.is_empty() {
        return exact;
    }
    let part = name.to_lowercase();
    let has = |o: &Object| o.name.to_lowercase().contains(&part);
    mib.objects().iter().enumerate().filter(|(_, o)| has(o)).map(|(at, _)| at).collect()
}

/// A definition and everything below it.
fn below(mib: &Mib, name: &str) -> Vec<usize> {
    let Some(root) = mib.resolve(name) else { return Vec::new() };
    mib.objects().iter().enumerate().filter(|(_, o)| o.oid.starts_with(&root)).map(|(at, _)| at).collect()
}
