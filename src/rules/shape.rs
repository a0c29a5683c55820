//! What the names of a rule's check results look like, and whether it can ever say that all is well: for the configuration of the
//! monitoring core, which must know hosts and services before results come.

use std::net::IpAddr;

use crate::language::expr::Node;
use crate::language::template::{Expression, Part, Template};
use crate::language::value::Val;
use crate::outcome::result::State;
use crate::rules::matching::{Glob, Matcher, SenderPattern};
use crate::rules::rule::{Rule, RuleSet, StateTemplate};
use crate::rules::variable::{Fixed, Variable};

/// A name of which parts can be computed.
#[derive(Debug, Clone)]
pub enum Shape {
    /// Always this text.
    Fixed(String),
    /// The host that a message is about.
    Host,
    /// A text like this: `*` stands for what is computed.
    Like(Glob),
}

impl Shape {
    fn of(template: &Template<Variable>) -> Self {
        match template {
            Template::Text(text) => Shape::Fixed(text.clone()),
            Template::Parts(parts) => match parts.as_slice() {
                [Part::Value(Node::Variable(Variable::Fixed(Fixed::Host)))] => Shape::Host,
                parts => {
                    let text: String = parts
                        .iter()
                        .map(|part| if let Part::Text(text) = part { text } else { "*" })
                        .collect();
                    Shape::Like(Glob::new(&text, false))
                }
            },
            Template::Program(_) => Shape::Like(Glob::new("*", false)),
        }
    }

    /// Whether a name can be of this shape.
    pub fn fits(&self, name: &str) -> bool {
        match self {
            Shape::Fixed(text) => text == name,
            Shape::Host => true,
            Shape::Like(glob) => glob.matches(name),
        }
    }

    /// Whether every name is of this shape: the message chooses all of it.
    pub fn is_open(&self) -> bool {
        matches!(self, Shape::Like(glob) if glob.matches(""))
    }
}

/// The check results of a rule.
#[derive(Debug)]
pub struct Makes<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// The host.
    pub host: Shape,
    /// The service; none if the results are about the host itself.
    pub service: Option<Shape>,
    /// Whether it can report that all is well.
    pub can_be_ok: bool,
}

impl RuleSet {
    /// The check results of all rules that make some.
    pub fn makes(&self) -> Vec<Makes<'_>> {
        let plans = self.plan.rules.iter();
        let of = |(rule, plan): (_, &crate::rules::plan::RulePlan)| {
            let rule: &Rule = rule;
            let check = rule.check.as_ref()?;
            let recovers = plan.threshold.as_ref().is_some_and(|threshold| threshold.recover.is_some());
            let can_be_ok = recovers || plan.expect.is_some() || can_be_ok(&check.state);
            Some(Makes {
                rule,
                host: Shape::of(&check.host),
                service: check.service.as_ref().map(Shape::of),
                can_be_ok,
            })
        };
        self.rules.iter().zip(plans).filter_map(of).collect()
    }
}

impl Makes<'_> {
    /// Whether the rule is for what comes from an address, over this protocol.
    pub fn is_for(&self, address: IpAddr, host: &str, snmp: bool) -> bool {
        let protocol = match &self.rule.matcher {
            Matcher::Trap(_) => snmp,
            Matcher::Syslog(_) => !snmp,
            Matcher::Posted(_) => false,
        };
        let from = |from: &SenderPattern| match from {
            SenderPattern::Net(net) => net.contains(&address),
            SenderPattern::Host(glob) => glob.matches(host),
        };
        protocol && (self.rule.from.is_empty() || self.rule.from.iter().any(from))
    }
}

fn can_be_ok(state: &StateTemplate) -> bool {
    match state {
        StateTemplate::Fixed(state) => is_ok(state.as_str()),
        StateTemplate::Expression(Expression::Native(node)) => node_can(node),
        StateTemplate::Expression(Expression::Program(_)) => true,
    }
}

fn is_ok(state: &str) -> bool {
    [State::Ok, State::Up].iter().any(|ok| ok.as_str() == state)
}

/// Whether an expression can give an ok state. What is not known when the rule is compiled can.
fn node_can(node: &Node<Variable>) -> bool {
    match node {
        Node::Literal(Val::Str(text)) => is_ok(text),
        Node::Literal(_) => false,
        Node::If(parts) => parts[1..].iter().any(node_can),
        Node::And(both) | Node::Or(both) | Node::Default(both) => both.iter().any(node_can),
        _ => true,
    }
}
