//! Compiled rules.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use crate::language::jinja::Environment;
use crate::language::template::{Expression, Template};
use crate::lookup::tables::Tables;
use crate::message::Message;
use crate::mib::Mib;
use crate::outcome::result::{Label, State};
use crate::rules::index::Index;
use crate::rules::matching::{Matcher, SenderPattern};
use crate::rules::plan::{KeyTemplates, Plan};
use crate::rules::variable::Variable;
use crate::time::calendar::Hours;

/// A compiled rule.
#[derive(Debug)]
pub struct Rule {
    /// Its id, unique in the rule set.
    pub id: String,
    /// The file that contains it.
    pub file: Arc<str>,
    /// The bytes of the file where its id stands.
    pub span: Range<usize>,
    /// The line of the file where its id stands.
    pub line: usize,
    /// How many tests it has.
    pub tests: usize,
    /// The messages that it is for.
    pub matcher: Matcher,
    /// The labels that `[[snmp.access]]` refers to.
    pub tags: Vec<String>,
    /// The senders that it is for; empty for all senders.
    pub from: Vec<SenderPattern>,
    /// When it is in force; none for always.
    pub when: Option<Hours>,
    /// A further condition, with its source.
    pub where_: Option<(String, Expression<Variable>)>,
    /// The check result that it makes.
    pub check: Option<CheckTemplate>,
    /// The event that it makes.
    pub event: Option<EventTemplate>,
    /// The labels of what it makes: names and templates, sorted by name.
    pub labels: Vec<(String, Template<Variable>)>,
    /// The labels, if they are the same for all messages.
    pub constant_labels: Option<Vec<Label<'static>>>,
    /// What its state is told apart by, where it has templates for that.
    pub keys: Option<Box<KeyTemplates>>,
    /// Whether it asks for the state of rules.
    pub asks: bool,
    /// Whether later rules may match the same message.
    pub continues: bool,
    /// The number of messages that it has matched.
    pub match_count: AtomicU64,
    /// When the last one was received, in microseconds since 1970 UTC; 0 before the first. For people: of two at a time either may stay.
    pub last_match: AtomicI64,
    /// The number of fields that it could not render, without those that were over budget.
    pub render_failures: AtomicU64,
    /// The number of patterns, conditions and fields that were over [budget](crate::language::budget) for a message.
    pub over_budget: AtomicU64,
}

/// A compiled `[rule.check]`.
#[derive(Debug)]
pub struct CheckTemplate {
    pub(super) host: Template<Variable>,
    pub(super) service: Option<Template<Variable>>,
    pub(super) state: StateTemplate,
    pub(super) output: Template<Variable>,
    pub(super) long_output: Option<Template<Variable>>,
    pub(super) perfdata: Option<Template<Variable>>,
}

/// A compiled `[rule.event]`.
#[derive(Debug)]
pub struct EventTemplate {
    pub(super) component: Template<Variable>,
    pub(super) resource: Option<Template<Variable>>,
    pub(super) state: StateTemplate,
    pub(super) output: Template<Variable>,
    pub(super) long_output: Option<Template<Variable>>,
    pub(super) fields: Vec<(String, Template<Variable>)>,
}

/// A state, or an expression that gives one.
#[derive(Debug)]
pub enum StateTemplate {
    /// A state.
    Fixed(State),
    /// An expression.
    Expression(Expression<Variable>),
}

/// The default of [`RuleSet::max_message`].
pub const MAX_MESSAGE: usize = 16 * 1024;

/// All rules of a configuration.
#[derive(Debug)]
pub struct RuleSet {
    pub(super) rules: Vec<Rule>,
    pub(super) index: Index,
    pub(super) environment: Environment,
    pub(super) mib: Arc<Mib>,
    /// The most bytes of a message that rules see. Longer messages are cut.
    pub max_message: usize,
    pub(super) plan: Arc<Plan>,
    /// Whether any rule asks for the state of rules.
    pub(super) asks: bool,
    /// The tables that the rules were compiled with.
    pub(super) tables: Arc<Tables>,
    /// The columns that they use, by the places of their tables.
    pub(super) needs: Vec<(usize, Box<str>)>,
}

impl Default for RuleSet {
    fn default() -> Self {
        RuleSet {
            rules: Vec::new(),
            index: Index::default(),
            environment: Environment::default(),
            mib: Arc::default(),
            max_message: MAX_MESSAGE,
            plan: Arc::default(),
            asks: false,
            tables: Arc::default(),
            needs: Vec::new(),
        }
    }
}

impl RuleSet {
    /// The rules, in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What the rules keep over time.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Whether a rule that may match a message asks for the state of rules, which is then to be as messages before it have left it.
    pub fn asks(&self, message: &Message<'_>, scratch: &mut Vec<u32>) -> bool {
        if !self.asks {
            return false;
        }
        match message {
            Message::Notification(notification) => self.index.for_trap(&notification.oid, scratch),
            Message::Syslog(line) => self.index.for_line(line, scratch),
            Message::Posted(posted) => self.index.for_posted(posted, scratch),
        }
        scratch.iter().any(|at| self.rules[*at as usize].asks)
    }

    /// The tables that the rules were compiled with.
    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// The columns that the rules use, by the places of their tables.
    pub fn needs(&self) -> &[(usize, Box<str>)] {
        &self.needs
    }

    /// The MIBs that the rules were compiled with.
    pub fn mib(&self) -> &Mib {
        &self.mib
    }

    /// The same, to compile other rules with them.
    pub fn mib_handle(&self) -> &Arc<Mib> {
        &self.mib
    }
}
