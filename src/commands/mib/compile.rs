//! `trapline mib compile`: the names of modules in one file.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::commands::args::ConfigArg;
use crate::config::loaded as setup;
use crate::files::named;
use crate::mib::load::files::{COMPILED, is_compiled};
use crate::mib::load::{self, compiled};
use crate::terminal::{eprintln, say};

/// The mode of a new file: the daemon, which is another user, reads it.
const MODE: u32 = 0o644;

/// Arguments of `trapline mib compile`.
#[derive(Debug, Args)]
pub struct CompileArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Folders and files, in the place of those of the configuration
    paths: Vec<PathBuf>,
    /// The file to write, whose name ends with .tlp; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Compiles; false if a file that was named has no module.
///
/// # Errors
///
/// If the file cannot be written.
pub fn run(args: &CompileArgs) -> anyhow::Result<bool> {
    let to_stdout = named::is_stdout(&args.output);
    if !to_stdout && !is_compiled(&args.output) {
        bail!("{}: the name must end with .{COMPILED}, by which it is known", args.output.display());
    }
    if to_stdout && io::stdout().is_terminal() {
        bail!("a terminal cannot show compiled modules; name a file with -o, or redirect standard output");
    }
    let paths = if args.paths.is_empty() {
        let Ok((config, _)) =
            setup::config(args.config.path().as_deref()).map_err(|found| setup::print(&found))
        else {
            return Ok(false);
        };
        config.mib_paths
    } else {
        args.paths.clone()
    };
    let loaded = load::load(&paths);
    setup::print(&loaded.found);
    if loaded.found.has_errors() {
        return Ok(false);
    }
    let (modules, definitions) = (loaded.mib.modules().len(), loaded.mib.objects().len());
    named::replace(&args.output, MODE, |out| compiled::write(loaded.mib, out))
        .context("cannot write the modules")?;
    if to_stdout {
        eprintln!("trapline: {modules} modules with {definitions} definitions");
    } else {
        say!("{modules} modules with {definitions} definitions in {}", args.output.display());
    }
    Ok(true)
}
