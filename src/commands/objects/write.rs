//! The configuration of a monitoring core, by a template. Pure.

use clap::ValueEnum;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::need::Needs;

/// A monitoring core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Core {
    /// Nagios, Naemon and compatible cores
    Nagios,
    /// Icinga 2
    Icinga2,
    /// Alignak
    Alignak,
    /// Centreon, as commands of its CLAPI
    // The source of CLAPI in centreon/centreon, centreon/www/class/centreon-clapi: `centreonAPI.class.php`, `import` reads lines of
    // OBJECT;ACTION;VALUES and goes on after an error; `centreonHost.class.php`, `initInsertParameters` takes name, alias, address,
    // templates, poller and host groups, the last of which may be empty, and `initUpdateParameters` a name, a parameter, with or without
    // `host_` before it, and a value; `centreonService.class.php`, `initInsertParameters` takes host, description and a template that
    // exists, and `setparam` host, description, a parameter, with or without `service_`, and a value.
    Centreon,
}

/// Characters that Nagios takes in no name (`illegal_object_name_chars`), and those that end a value.
const ILLEGAL_NAGIOS: &str = "`~!$%^&*|'\"<>?,()=;\\";
/// What separates fields of CLAPI's commands, and what Centreon takes in no name.
const ILLEGAL_CENTREON: &str = "`~!$%^&*|'\"<>?,()=;";

impl Core {
    /// The template of this core.
    pub fn template(self) -> &'static str {
        match self {
            Core::Nagios => include_str!("../../../config/objects/nagios.jinja"),
            Core::Icinga2 => include_str!("../../../config/objects/icinga2.jinja"),
            Core::Alignak => include_str!("../../../config/objects/alignak.jinja"),
            Core::Centreon => include_str!("../../../config/objects/centreon.jinja"),
        }
    }

    /// Why the core can have no object of this name; none if it can.
    pub fn refuses(self, name: &str) -> Option<String> {
        let illegal = match self {
            Core::Nagios | Core::Alignak => ILLEGAL_NAGIOS,
            Core::Centreon => ILLEGAL_CENTREON,
            // A host and its service are joined by it.
            Core::Icinga2 => "!",
        };
        if name.trim() != name || name.is_empty() {
            return Some("it begins or ends with a space".to_owned());
        }
        // Nagios and its kin take this for no value, and a plus for what is added to an inherited list.
        if self != Core::Icinga2 && (name == "null" || name.starts_with('+')) {
            return Some("in the core's configuration it means something else".to_owned());
        }
        let odd = name.chars().find(|c| illegal.contains(*c) || c.is_control());
        odd.map(|c| format!("no name has '{}'", c.escape_debug()))
    }
}

/// What was written, and what could not be: names and reasons.
#[derive(Debug)]
pub struct Written {
    /// The configuration.
    pub text: String,
    /// Hosts and services that the core can have under no such name.
    pub left_out: Vec<(String, String)>,
}

/// Renders what is needed.
///
/// # Errors
///
/// What is wrong with the template.
pub fn write(core: Core, template: &str, needs: &Needs) -> Result<Written, Error> {
    let mut left_out = Vec::new();
    let mut fits = |shown: &str, names: &[&str]| {
        let why = names.iter().find_map(|name| core.refuses(name));
        left_out.extend(why.clone().map(|why| (shown.to_owned(), why)));
        why.is_none()
    };
    let hosts: Vec<Value> = (needs.hosts.iter())
        .filter(|(name, _)| fits(name, &[name]))
        .map(|(name, address)| {
            let address = address.map_or(Value::from(""), |address| address.to_string().into());
            Value::from_pairs([("name", name.as_str().into()), ("address", address)])
        })
        .collect();
    let services: Vec<Value> = (needs.services.iter())
        .filter(|((host, service), _)| fits(&format!("{host}, {service}"), &[host, service]))
        .map(|((host, service), volatile)| {
            let names = [("host", host.as_str().into()), ("name", service.as_str().into())];
            Value::from_pairs(names.into_iter().chain([("volatile", Value::from(*volatile))]))
        })
        .collect();
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let lines =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?;
    environment.set_syntax(lines);
    // Values of Icinga 2 are strings in quotes.
    environment.add_filter("quoted", |value: &Value| -> Result<String, Error> {
        let text = value.to_string();
        if text.chars().any(char::is_control) {
            return Err(Error::new(ErrorKind::InvalidOperation, "a name has control characters"));
        }
        Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
    });
    let context = Value::from_pairs([("hosts", Value::from(hosts)), ("services", Value::from(services))]);
    let text = environment.render_named_str("objects", template, context)?;
    Ok(Written { text, left_out })
}
