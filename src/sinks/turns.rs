//! Which of several servers is used, where one of them is enough. Pure.

/// The turns of some servers, which are numbers from 0 on.
#[derive(Debug)]
pub(super) struct Turns {
    count: usize,
    next: usize,
}

impl Turns {
    /// The turns of so many servers.
    pub(super) fn new(count: usize) -> Self {
        Turns { count: count.max(1), next: 0 }
    }

    /// Whose turn it is. The next turn is that of another one, unless this one is [kept](Self::keep): whoever stops waiting for a server has
    /// it passed over.
    pub(super) fn take(&mut self) -> usize {
        let now = self.next;
        self.next = (now + 1) % self.count;
        now
    }

    /// Has a server that answers have the next turn as well.
    pub(super) fn keep(&mut self, which: usize) {
        self.next = which;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_kept_is_passed_over() {
        let mut turns = Turns::new(3);
        assert_eq!([turns.take(), turns.take(), turns.take(), turns.take()], [0, 1, 2, 0]);
        turns.keep(1);
        assert_eq!([turns.take(), turns.take()], [1, 2]);
        assert_eq!(Turns::new(0).take(), 0);
    }
}
