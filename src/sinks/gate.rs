//! When a sink takes outcomes: the hours of `when`, and whether it honours mutes.

use crate::outcome::codec;
use crate::time::calendar::Hours;

/// What a sink takes at what time.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// `when`: the hours in which its outcomes were made; none for all.
    pub when: Option<Hours>,
    /// `honour_mutes`
    pub honours_mutes: bool,
}

impl Gate {
    /// Whether the sink of a name takes an encoded outcome with a time.
    pub fn takes(&self, name: &str, time: i64, payload: &[u8]) -> bool {
        let meant = match codec::mute_of(payload) {
            None => true,
            Some(mute) => {
                let muted = self.honours_mutes && mute.is_for(name);
                // The last word is for those that have missed it.
                if mute.last { muted } else { !muted }
            }
        };
        meant && self.when.as_ref().is_none_or(|when| when.covers(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::codec::{encode, muted};
    use crate::outcome::result::{Common, Event, Labels, Outcome, State};

    #[test]
    fn a_sink_that_honours_mutes_gets_the_last_word_only_and_others_all_but_that() {
        let common = Common {
            time: 5,
            rule: "r".into(),
            state: State::Critical,
            output: "x".into(),
            long_output: "".into(),
            source: "".into(),
            labels: Labels::default(),
        };
        let outcome = Outcome::Event(Event {
            common,
            component: "h".into(),
            resource: None,
            fields: vec![("a".into(), "b".into())],
        });
        let mut plain = Vec::new();
        encode(&outcome, &mut plain);
        let (core, pager) = (Gate::default(), Gate { honours_mutes: true, ..Gate::default() });
        for (sinks, last, core_takes, pager_takes) in [
            ("*", false, true, false),
            ("*", true, false, true),
            ("chat,pager", false, true, false),
            ("chat,pager", true, false, true),
            ("chat", false, true, true),
            ("chat", true, false, false),
        ] {
            let marked = muted(&plain, sinks, last);
            assert_eq!(codec::decode(&marked), Some(outcome.clone()), "it is the same outcome");
            assert_eq!(core.takes("core", 5, &marked), core_takes, "{sinks} {last}");
            assert_eq!(pager.takes("pager", 5, &marked), pager_takes, "{sinks} {last}");
        }
        assert!(core.takes("core", 5, &plain) && pager.takes("pager", 5, &plain));
    }
}
