//! Which keys go first. Pure.

use crate::sinks::key::Class;
use crate::sinks::queue::Queue;

impl Queue {
    /// Of which classes the next request is, those of the first one before the others: if `patient`, not of what was sent last without an
    /// answer while there is anything else, and otherwise of the oldest. What had to wait goes before what is new every other time, so that
    /// however many are tried again, they take half of the requests at most.
    pub(super) fn turn_of(&mut self, patient: bool) -> &'static [Class] {
        let head = |class: Class| self.free[class as usize].first();
        let plain = head(Class::New).into_iter().chain(head(Class::Later)).min();
        let tried = [&[Class::Tried][..], &[Class::AtFault]];
        let mut heads = tried.into_iter().filter_map(|classes| Some((head(classes[0])?, classes)));
        let tried = if patient { heads.next() } else { heads.min() };
        match (plain, tried) {
            (None, Some((_, classes))) => return classes,
            (Some(plain), Some((tried, classes))) if !patient && tried < plain => return classes,
            _ => {}
        }
        let has_both = head(Class::New).is_some() && head(Class::Later).is_some();
        let is_later_first = has_both && self.later_first;
        self.later_first ^= has_both;
        if is_later_first { &[Class::Later, Class::New] } else { &[Class::New, Class::Later] }
    }

    /// Whether something can be sent that never had to wait.
    pub(super) fn has_new(&self) -> bool {
        self.run.waits_since().is_some() || !self.free[Class::New as usize].is_empty()
    }

    /// Whether something can be sent that had to wait, and was answered when it was sent last.
    pub(super) fn has_later(&self) -> bool {
        !self.free[Class::Later as usize].is_empty()
    }
}
