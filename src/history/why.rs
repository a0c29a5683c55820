//! Why a message made nothing. Pure.

use crate::outcome::result::State;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $name:literal $says:literal,)+) => {
        /// Why a message, or an outcome of it, was not told to anybody. The order stands in files: new ones go to the end.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Why {
            $($(#[$doc])* $variant,)+
        }

        impl Why {
            /// All of them.
            pub const ALL: &[Why] = &[$(Why::$variant,)+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Why::$variant => $name,)+
                }
            }

            /// A sentence for people.
            pub fn says(self) -> &'static str {
                match self {
                    $(Why::$variant => $says,)+
                }
            }
        }
    };
}

reasons! {
    /// `threshold` of the rule.
    Threshold "threshold" "there were not enough messages for the threshold of the rule, or it was told of them already",
    /// `hold` of the rule.
    Held "held" "the problem had not lasted as long as the hold of the rule asks for",
    /// `hold` of the rule.
    Cancelled "cancelled" "the problem was over before its hold",
    /// `hold.flaps` of the rule.
    Flapping "flapping" "the state changes too often, which was told",
    /// `dedup` of the rule.
    Duplicate "duplicate" "the same state was told within the window of dedup",
    /// `throttle` of the rule.
    Throttled "throttled" "the throttle of the rule had let as many pass as it may",
    /// Of several problems of a service the worst is told.
    Worse "worse" "a worse problem of the service is open",
    /// Of several problems of a service the worst is told.
    StillOpen "still_open" "another problem of the service is still open",
    /// `orphan` of the rule.
    Orphan "orphan" "it clears nothing",
    /// Overtaken on the network.
    Reordered "reordered" "it was sent before the clear that overtook it",
    /// `drop = true` of the rule.
    Dropped "dropped" "the rule drops such messages",
    /// No rule.
    Unmatched "unmatched" "no rule takes such messages; see the inbox",
}

impl Why {
    /// By its name.
    pub fn of(name: &str) -> Option<Why> {
        Why::ALL.iter().copied().find(|why| why.name() == name)
    }

    /// Whether there was an outcome, whose state is known.
    pub fn has_outcome(self) -> bool {
        !matches!(self, Why::Dropped | Why::Unmatched)
    }
}

/// Messages of one kind that made nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// Why.
    pub why: Why,
    /// The id of the rule; empty if no rule takes them.
    pub rule: String,
    /// The host, or the component.
    pub host: String,
    /// The service, or the resource.
    pub service: Option<String>,
    /// Whether it would have been an event.
    pub is_event: bool,
    /// The state of the first one; of no meaning [without an outcome](Why::has_outcome).
    pub state: State,
    /// The address that the first one came from.
    pub source: String,
    /// What the first one says.
    pub output: String,
    /// When the first one was received, in microseconds since 1970 UTC.
    pub time: i64,
    /// How many there were.
    pub count: u64,
    /// What else tells its kind from others: a hash of the trap OID or the program where there is no outcome.
    pub about: u64,
}

/// The name of what is not told apart any more.
const OTHERS: &str = "(other)";

impl Untold {
    /// So many that are not told apart.
    pub fn others(why: Why, time: i64, count: u64) -> Untold {
        Untold {
            why,
            rule: OTHERS.to_owned(),
            host: OTHERS.to_owned(),
            service: None,
            is_event: false,
            state: State::Unknown,
            source: String::new(),
            output: "messages of more rules and hosts than are told apart".to_owned(),
            time,
            count,
            about: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for why in Why::ALL {
            assert_eq!(Why::of(why.name()), Some(*why));
        }
        assert_eq!(Why::of("muted"), None);
    }
}
