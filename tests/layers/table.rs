//! The table of layers, as `docs/architecture.md` shows it.

use std::collections::HashMap;

/// The page that has the table.
pub const PAGE: &str = "docs/architecture.md";

/// Which module is in which layer.
#[derive(Debug)]
pub struct Table {
    /// Layer and line of the page, by module; 0 is the lowest layer.
    modules: HashMap<String, (usize, usize)>,
}

impl Table {
    /// Reads the block that starts with <code>```layers</code>: a line a layer, the lowest first, modules with spaces
    /// between them, `#` before a comment.
    ///
    /// # Errors
    ///
    /// What is wrong with the page, if it has no such block, or the block names a module twice.
    pub fn parse(page: &str) -> Result<Self, String> {
        let lines = page.lines().zip(1..).skip_while(|(line, _)| line.trim_end() != "```layers").skip(1);
        let block = lines.take_while(|(line, _)| line.trim_end() != "```");
        let mut modules: HashMap<String, (usize, usize)> = HashMap::new();
        let mut layer = 0;
        for (text, line) in block {
            let names = text.split('#').next().unwrap_or_default().split_whitespace();
            let before = modules.len();
            for name in names {
                if let Some((_, first)) = modules.insert(name.to_owned(), (layer, line)) {
                    return Err(format!(
                        "{PAGE}:{line} lists `{name}` again, after line {first}: a module is in one layer"
                    ));
                }
            }
            layer += usize::from(modules.len() > before);
        }
        if modules.is_empty() {
            return Err(format!(
                "{PAGE} has no table of layers: the test reads the code block that starts with ```layers, \
                 a line a layer, the lowest first"
            ));
        }
        Ok(Table { modules })
    }

    /// The module of the table that a file belongs to: the longest listed path that leads to it. `path` is the file's module
    /// path, such as `["mib", "load", "cache"]`.
    pub fn module_of(&self, path: &[String]) -> Option<&str> {
        (1..=path.len()).rev().find_map(|length| {
            let (name, _) = self.modules.get_key_value(&path[..length].join("/"))?;
            Some(name.as_str())
        })
    }

    /// The layer of a module, from 0 for the lowest.
    pub fn layer(&self, module: &str) -> Option<usize> {
        self.modules.get(module).map(|(layer, _)| *layer)
    }

    /// All modules, each with its line on the page.
    pub fn modules(&self) -> impl Iterator<Item = (&str, usize)> {
        self.modules.iter().map(|(name, (_, line))| (name.as_str(), *line))
    }
}
