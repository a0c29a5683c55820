//! The `--#` comments in the macros of notifications, which some vendors write for trap receivers.

use std::collections::HashMap;

/// The comments of the notifications of some modules, by module and name.
#[derive(Debug, Default)]
pub struct Comments(HashMap<(String, String), Comment>);

/// The comments of one notification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comment {
    /// `--#SEVERITY`
    pub severity: Option<String>,
    /// `--#STATE`
    pub state: Option<String>,
    /// `--#SUMMARY`, with `%s` for its arguments; several lines are joined with a space.
    pub summary: Option<String>,
    /// `--#ARGUMENTS`: positions of varbinds, from 0.
    pub arguments: Vec<usize>,
}

impl Comments {
    /// The comments of a notification.
    pub fn of(&self, module: &str, name: &str) -> Option<&Comment> {
        self.0.get(&(module.to_owned(), name.to_owned()))
    }

    /// Adds the comments in a file, which may contain several modules.
    pub fn read(&mut self, text: &str) {
        let mut module = String::new();
        let mut current: Option<String> = None;
        for line in text.lines() {
            let line = line.trim();
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some(name), Some("DEFINITIONS")) => {
                    name.clone_into(&mut module);
                    current = None;
                }
                (Some(name), Some("TRAP-TYPE" | "NOTIFICATION-TYPE")) => current = Some(name.to_owned()),
                _ => {}
            }
            if let (Some(name), Some(comment)) = (&current, line.strip_prefix("--#")) {
                self.0.entry((module.clone(), name.clone())).or_default().add(comment);
            } else if line.starts_with("::=") {
                current = None;
            }
        }
    }
}

impl Comment {
    fn add(&mut self, comment: &str) {
        let (key, value) = comment.split_once(char::is_whitespace).unwrap_or((comment, ""));
        let value = value.trim().trim_matches('"').trim();
        match key {
            "SEVERITY" => self.severity = Some(value.to_owned()),
            "STATE" => self.state = Some(value.to_owned()),
            "SUMMARY" => match &mut self.summary {
                Some(summary) => {
                    summary.push(' ');
                    summary.push_str(value);
                }
                None => self.summary = Some(value.to_owned()),
            },
            "ARGUMENTS" => {
                let numbers = value.trim_matches(['{', '}']).split(',');
                self.arguments.extend(numbers.filter_map(|n| n.trim().parse::<usize>().ok()));
            }
            _ => {}
        }
    }
}
