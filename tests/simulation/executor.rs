//! Runs tasks in an order that follows from the seed.
//!
//! tokio's own scheduler wakes waiters in an order that nobody can choose. Here a wake-up only marks a task, and which of
//! the marked ones runs next is drawn. So every seed has an order of its own, and always the same one.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::random::Random;

/// Tasks that end together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(pub u64);

type Work = Pin<Box<dyn Future<Output = ()>>>;
/// Starts tasks that have a name.
pub type Spawner = Arc<dyn Fn(&str, SendWork) + Send + Sync>;
type SendWork = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The tasks that are marked, and who polls the executor.
#[derive(Default)]
struct Marks {
    ready: BTreeSet<u64>,
    root: Option<Waker>,
    /// What was spawned by code that must be `Send`.
    spawned: Vec<(Group, SendWork)>,
}

struct Mark {
    id: u64,
    marks: Arc<Mutex<Marks>>,
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        let mut marks = self.marks.lock().unwrap();
        marks.ready.insert(self.id);
        if let Some(root) = marks.root.take() {
            root.wake();
        }
    }
}

struct Task {
    group: Group,
    work: Work,
    waker: Waker,
}

/// The executor. Clones are the same one.
#[derive(Clone)]
pub struct Executor {
    marks: Arc<Mutex<Marks>>,
    tasks: Rc<RefCell<BTreeMap<u64, Task>>>,
    ended: Rc<RefCell<BTreeSet<Group>>>,
    next: Rc<RefCell<u64>>,
    random: Random,
}

impl Executor {
    /// Without tasks.
    pub fn new(random: Random) -> Self {
        Executor {
            marks: Arc::default(),
            tasks: Rc::default(),
            ended: Rc::default(),
            next: Rc::default(),
            random,
        }
    }

    /// Starts a task.
    pub fn spawn(&self, group: Group, work: impl Future<Output = ()> + 'static) {
        self.insert(group, Box::pin(work));
    }

    /// What starts tasks of a group from any code.
    pub fn spawner(&self, group: Group) -> Spawner {
        let marks = self.marks.clone();
        Arc::new(move |_, work| {
            let mut marks = marks.lock().unwrap();
            marks.spawned.push((group, work));
            if let Some(root) = marks.root.take() {
                root.wake();
            }
        })
    }

    fn insert(&self, group: Group, work: Work) {
        if self.ended.borrow().contains(&group) {
            return;
        }
        let id = {
            let mut next = self.next.borrow_mut();
            *next += 1;
            *next
        };
        let waker = Waker::from(Arc::new(Mark { id, marks: self.marks.clone() }));
        // tokio gives a poll a budget, and the executor is one poll to it.
        let work = Box::pin(tokio::task::unconstrained(work));
        self.tasks.borrow_mut().insert(id, Task { group, work, waker: waker.clone() });
        waker.wake();
    }

    /// Ends all tasks of a group where they are.
    pub fn kill(&self, group: Group) {
        self.ended.borrow_mut().insert(group);
        self.marks.lock().unwrap().spawned.retain(|(of, _)| *of != group);
        loop {
            // One by one, as dropping a task may wake or spawn others.
            let found = self.tasks.borrow().iter().find(|(_, task)| task.group == group).map(|(id, _)| *id);
            let Some(id) = found else { break };
            let task = self.tasks.borrow_mut().remove(&id);
            drop(task);
        }
    }

    /// Runs tasks until one of a group of its own has ended. `after` is called after each step.
    pub async fn run(&self, main: impl Future<Output = ()> + 'static, after: impl Fn()) {
        let main_group = Group(0);
        self.spawn(main_group, main);
        std::future::poll_fn(|context| self.poll(context, main_group, &after)).await;
    }

    fn poll(&self, context: &mut Context<'_>, main: Group, after: &impl Fn()) -> Poll<()> {
        loop {
            let spawned = std::mem::take(&mut self.marks.lock().unwrap().spawned);
            for (group, work) in spawned {
                self.insert(group, work);
            }
            let id = {
                let mut marks = self.marks.lock().unwrap();
                if marks.ready.is_empty() {
                    marks.root = Some(context.waker().clone());
                    return Poll::Pending;
                }
                let at = self.random.below(marks.ready.len() as u64) as usize;
                let id = *marks.ready.iter().nth(at).unwrap();
                marks.ready.remove(&id);
                id
            };
            // A task that has ended may still be marked.
            let Some(mut task) = self.tasks.borrow_mut().remove(&id) else { continue };
            let ended = task.work.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready();
            after();
            if ended {
                if task.group == main {
                    return Poll::Ready(());
                }
            } else if !self.ended.borrow().contains(&task.group) {
                self.tasks.borrow_mut().insert(id, task);
            }
        }
    }
}
