//! Which hosts and services the monitoring core needs. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::rules::compile::is_shipped;
use crate::rules::shape::{Makes, Shape};

/// What was seen so far.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The hosts of check results, each with its service.
    pub results: BTreeSet<(String, Option<String>)>,
    /// Senders.
    pub senders: Vec<Sender>,
}

/// A sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Its address.
    pub address: IpAddr,
    /// The host that its messages are about.
    pub host: String,
    /// Whether it speaks SNMP and syslog.
    pub speaks: [bool; 2],
}

/// What is needed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Hosts, with their addresses, as far as they are known.
    pub hosts: BTreeMap<String, Option<IpAddr>>,
    /// Services by host and name; whether they are volatile.
    pub services: BTreeMap<(String, String), bool>,
}

/// What the core has already.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Have {
    /// The names of hosts.
    pub hosts: BTreeSet<String>,
    /// Hosts and services.
    pub services: BTreeSet<(String, String)>,
}

impl Needs {
    /// What rules need for what was seen.
    pub fn new(seen: &Seen, makes: &[Makes<'_>]) -> Self {
        let mut needs = Needs::default();
        for (host, service) in &seen.results {
            needs.add(host, service.as_deref(), makes);
        }
        for sender in &seen.senders {
            needs.hosts.entry(sender.host.clone()).or_default().get_or_insert(sender.address);
            // A pack has services of many devices: those are needed that were seen.
            for make in makes.iter().filter(|make| !is_shipped(&make.rule.file)) {
                let of_sender = [true, false].into_iter().zip(sender.speaks);
                let is_for = of_sender
                    .filter(|(_, speaks)| *speaks)
                    .any(|(snmp, _)| make.is_for(sender.address, &sender.host, snmp));
                if let (true, Shape::Host, Some(Shape::Fixed(service))) = (is_for, &make.host, &make.service)
                {
                    needs.add(&sender.host, Some(service), makes);
                }
            }
        }
        for make in makes {
            if let (Shape::Fixed(host), service) = (&make.host, &make.service) {
                match service {
                    None => needs.add(host, None, makes),
                    Some(Shape::Fixed(service)) => needs.add(host, Some(service), makes),
                    Some(_) => {}
                }
            }
        }
        needs
    }

    fn add(&mut self, host: &str, service: Option<&str>, makes: &[Makes<'_>]) {
        self.hosts.entry(host.to_owned()).or_default();
        let Some(service) = service else { return };
        let fits = |make: &&Makes<'_>| {
            make.host.fits(host) && make.service.as_ref().is_some_and(|shape| shape.fits(service))
        };
        // Rules that take the name from the message could make any service. They count where no other rule makes this one.
        let is_open = |make: &Makes<'_>| make.service.as_ref().is_some_and(Shape::is_open);
        let only_open = makes.iter().filter(fits).all(is_open);
        let heals = makes.iter().filter(fits).any(|make| make.can_be_ok && (only_open || !is_open(make)));
        self.services.entry((host.to_owned(), service.to_owned())).or_insert(!heals);
    }

    /// The same without what the core has.
    pub fn without(mut self, have: &Have) -> Self {
        self.hosts.retain(|name, _| !have.hosts.contains(name));
        self.services.retain(|name, _| !have.services.contains(name));
        self
    }
}
