//! From an address or a syslog host name to the core's name for a host. There is no second place that does it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use crate::message::{Message, Source};

/// The known hosts.
#[derive(Debug, Default, Clone)]
pub struct Hosts {
    by_address: HashMap<IpAddr, Box<str>>,
    by_name: HashMap<Box<str>, Box<str>>,
}

impl Hosts {
    /// Adds a host by an address or another name of it. What was added first stays.
    pub fn insert(&mut self, address_or_name: &str, name: &str) {
        match address_or_name.parse::<IpAddr>() {
            Ok(address) => {
                self.by_address.entry(address.to_canonical()).or_insert_with(|| name.into());
            }
            Err(_) => {
                let key = address_or_name.to_ascii_lowercase().into();
                self.by_name.entry(key).or_insert_with(|| name.into());
            }
        }
    }

    /// How many addresses and names are known.
    pub fn len(&self) -> usize {
        self.by_address.len() + self.by_name.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of the host with this address.
    pub fn of_address(&self, address: IpAddr) -> Option<&str> {
        self.by_address.get(&address).map(AsRef::as_ref)
    }

    /// The name of the host that calls itself so.
    pub fn of_name<'h>(&'h self, name: &str) -> Option<&'h str> {
        if self.by_name.is_empty() {
            return None;
        }
        self.by_name
            .get(name)
            .or_else(|| self.by_name.get(name.to_ascii_lowercase().as_str()))
            .map(AsRef::as_ref)
    }

    /// The name of the host that a message is about: of the agent that a notification names, of the host that a
    /// line names, else of the sender. Unknown ones keep the name or address that they came with.
    pub fn of_message<'a>(
        &'a self,
        message: &Message<'a>,
        source: &Source,
        address: &'a str,
    ) -> Cow<'a, str> {
        match message {
            Message::Notification(notification) => match notification.agent.map(IpAddr::V4) {
                Some(agent) if agent != source.address() => {
                    self.of_address(agent).map_or_else(|| agent.to_string().into(), Cow::Borrowed)
                }
                _ => Cow::Borrowed(self.of_address(source.address()).unwrap_or(address)),
            },
            Message::Syslog(line) => match line.host {
                Some(host) => {
                    let by_address = || self.of_address(host.parse().ok()?);
                    Cow::Borrowed(self.of_name(host).or_else(by_address).unwrap_or(host))
                }
                None => Cow::Borrowed(self.of_address(source.address()).unwrap_or(address)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case_addresses_in_any_form() {
        let mut hosts = Hosts::default();
        hosts.insert("192.0.2.1", "router1");
        hosts.insert("DB1.example", "db1");
        assert_eq!(hosts.of_address("192.0.2.1".parse().unwrap()), Some("router1"));
        assert_eq!(hosts.of_name("db1.EXAMPLE"), Some("db1"));
        assert_eq!(hosts.of_name("db2"), None);
        hosts.insert("::ffff:192.0.2.9", "mapped");
        assert_eq!(hosts.of_address("192.0.2.9".parse().unwrap()), Some("mapped"));
    }
}
