//! Proposals: what rules for the notifications of a module should say.

use crate::import::mib::comments::Comments;
use crate::import::mib::identity::{Identity, identity};
use crate::import::mib::names;
use crate::import::mib::output;
use crate::import::mib::state::{Choice, Known, choose};
use crate::import::mib::words::split;
use crate::language::syntax;
use crate::mib::{Kind, Mib, Object};
use crate::outcome::result::State;

/// What a rule for a notification should say.
#[derive(Debug)]
pub struct Proposal<'m> {
    /// The notification.
    pub notification: &'m Object,
    /// The objects that it carries, each once.
    pub objects: Vec<&'m Object>,
    /// The template of the service.
    pub service: String,
    /// What tells its instances apart.
    pub identity: Identity<'m>,
    /// The state.
    pub state: Choice,
    /// The template of the output.
    pub output: String,
    /// Where the output comes from.
    pub output_from: String,
    /// The notifications of the same service that have the opposite state: its ends, or what it ends.
    pub counterparts: Vec<&'m Object>,
    /// An object that may name the host that the notification is about, where a controller sends it.
    pub other_host: Option<&'m Object>,
}

/// Proposals for the notifications of one module, in their order.
pub fn propose<'m>(mib: &'m Mib, module: &str, comments: &Comments) -> Vec<Proposal<'m>> {
    let notifications: Vec<&Object> =
        mib.objects().iter().filter(|o| o.kind == Kind::Notification && *o.module == *module).collect();
    let all: Vec<&str> = notifications.iter().map(|notification| &*notification.name).collect();
    let carried: Vec<Vec<&Object>> = notifications.iter().map(|n| objects(mib, n)).collect();
    let of_module = mib.objects().iter().filter(|o| o.kind == Kind::Object && *o.module == *module);
    let objects: Vec<&str> = of_module.map(|object| &*object.name).collect();
    let (names, groups) = names::read(&all, &objects);
    let mut proposals: Vec<(usize, Proposal<'m>)> = Vec::new();
    for group in &groups {
        let of_members: Vec<Vec<&Object>> = group.members.iter().map(|at| carried[*at].clone()).collect();
        let identity = identity(mib, &of_members);
        let service = service(&group.subject, &identity);
        for at in &group.members {
            let (notification, name) = (notifications[*at], &names[*at]);
            let comment = comments.of(module, &notification.name);
            let known = Known { objects: &carried[*at], name, is_pair: group.is_pair, comment };
            let description = mib.about(notification).map(|about| &*about.description);
            // `vendorTrap1` is more than its number.
            let is_word = |word: &String| word.chars().any(char::is_alphabetic);
            let whole = [group.subject.clone()];
            let words = if name.words.iter().any(is_word) { &name.words[..] } else { &whole };
            let (output, output_from) = output::output(words, &carried[*at], description, comment);
            let is_ok = |at: usize| names[at].state == Some(State::Ok);
            let opposite = group.members.iter().filter(|other| is_ok(**other) != is_ok(*at));
            let counterparts = opposite.map(|other| notifications[*other]).collect();
            let proposal = Proposal {
                notification,
                objects: carried[*at].clone(),
                service: service.clone(),
                identity: identity.clone(),
                state: choose(&known),
                output,
                output_from,
                counterparts,
                other_host: other_host(&carried[*at]),
            };
            proposals.push((*at, proposal));
        }
    }
    proposals.sort_by_key(|(at, _)| *at);
    proposals.into_iter().map(|(_, proposal)| proposal).collect()
}

fn objects<'m>(mib: &'m Mib, notification: &Object) -> Vec<&'m Object> {
    let mut objects: Vec<&Object> = Vec::new();
    for object in mib.objects_of(notification).filter(|o| o.kind == Kind::Object) {
        if !objects.iter().any(|other| other.oid == object.oid) {
            objects.push(object);
        }
    }
    objects
}

/// The template of a service: a subject, and what tells its instances apart.
pub fn service(subject: &str, identity: &Identity<'_>) -> String {
    let (objects, table, between) = match identity {
        Identity::Indexes(objects) => (objects, "index", "/"),
        Identity::Names(objects) => (objects, "v", " "),
        Identity::Missing | Identity::Host => return subject.to_owned(),
    };
    let one = |object: &&Object| format!("{{{{ {table}[{}] }}}}", syntax::quoted(&object.qualified()));
    format!("{subject} {}", objects.iter().map(one).collect::<Vec<_>>().join(between))
}

/// An object such as the name of an access point: a controller speaks of another host.
fn other_host<'m>(objects: &[&'m Object]) -> Option<&'m Object> {
    const HOSTS: [&str; 6] = ["ap", "host", "device", "dev", "member", "node"];
    const NAMES: [&str; 6] = ["name", "address", "addr", "ip", "serial", "fqdn"];
    objects.iter().copied().find(|object| {
        let words: Vec<String> = split(&object.name).iter().map(|word| word.to_lowercase()).collect();
        let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        let last = words.last().is_some_and(|word| NAMES.contains(&word.as_str()));
        has(&HOSTS) && last
    })
}
