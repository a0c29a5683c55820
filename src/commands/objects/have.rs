//! What the monitoring core has already, by its own files. Pure.

use serde_json::Value;

use super::need::Have;
use crate::lookup::nagios::objects;

impl Have {
    /// Adds what a text says: objects of Nagios (its object cache, or files with `define host {`), or JSON of Icinga 2's API
    /// (`/v1/objects/hosts`, `/v1/objects/services`).
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        if text.trim_start().starts_with('{') {
            let value: Value =
                serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
            return self.add_icinga(&value);
        }
        let mut any = false;
        for (kind, fields) in objects(text) {
            any = true;
            let field = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            let hosts = || field("host_name").into_iter().flat_map(|all| all.split(',')).map(str::trim);
            match kind {
                "host" => self.hosts.extend(hosts().map(str::to_owned)),
                "service" => {
                    let service = field("service_description").unwrap_or_default();
                    self.services.extend(hosts().map(|host| (host.to_owned(), service.to_owned())));
                }
                _ => {}
            }
        }
        if any {
            Ok(())
        } else {
            Err("it has neither objects of Nagios nor JSON of Icinga 2's API".to_owned())
        }
    }

    fn add_icinga(&mut self, value: &Value) -> Result<(), String> {
        let Some(results) = value["results"].as_array() else {
            return Err("it has no 'results' as answers of Icinga 2's API have".to_owned());
        };
        for object in results {
            let name = object["name"].as_str().unwrap_or_default();
            match object["type"].as_str() {
                Some("Host") => drop(self.hosts.insert(name.to_owned())),
                // A service is named HOST!SERVICE.
                Some("Service") => {
                    if let Some((host, service)) = name.split_once('!') {
                        self.services.insert((host.to_owned(), service.to_owned()));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
