//! What a template may name, and where its values come from. Rules and sinks implement both traits.

use std::fmt::Debug;
use std::ops::Range;

use minijinja::Value;

use crate::language::value::Val;

/// A name with the constant keys behind it: `ifDescr`, `v[1]`, `sd['id'].name`.
#[derive(Debug, Clone, PartialEq)]
pub struct Path<'a> {
    /// The name.
    pub base: &'a str,
    /// The keys, outermost first.
    pub keys: Vec<Key<'a>>,
    /// The bytes of the template that the path takes up.
    pub span: Range<usize>,
}

/// One key of a [`Path`].
#[derive(Debug, Clone, PartialEq)]
pub enum Key<'a> {
    /// `.name`, `['name']`
    Name(std::borrow::Cow<'a, str>),
    /// `[1]`
    Index(i128),
    /// `.1`
    Dotted(i128),
}

/// What a path stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved<V> {
    /// A value.
    Variable(V),
    /// A table of values or a part of it: only the template engine computes with it.
    Table,
    /// A part of a value, such as a character: only the template engine computes it.
    Part,
    /// There is no such name. Holds the hint for the user.
    Unknown(String),
}

/// A doubtful use of a variable: what is doubtful, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// What is doubtful.
    pub message: String,
    /// What to write.
    pub hint: String,
}

/// The names that a template may use. Names are resolved once, when the template is compiled.
pub trait Names {
    /// A resolved variable.
    type Var: Clone + Debug;

    /// What a path stands for.
    fn resolve(&self, path: &Path<'_>) -> Resolved<Self::Var>;

    /// The variable that `table|length` stands for, if there is a cheaper way than building the table.
    fn length(&self, _table: &str) -> Option<Self::Var> {
        None
    }

    /// Whether a variable is always text, so that no number equals it.
    fn is_text(&self, _variable: &Self::Var) -> bool {
        false
    }

    /// What to write for the number of a variable that is text; `name` is what stands there.
    fn number_of(&self, _variable: &Self::Var, name: &str) -> String {
        format!("{name}|number")
    }

    /// Whether a variable can be a list or a map. The template engine gets it as such; elsewhere it is its text.
    fn is_tree(&self, _variable: &Self::Var) -> bool {
        false
    }

    /// The names of a variable's values, if it has no texts beside them; none if it may be any text.
    fn enumeration(&self, _variable: &Self::Var) -> Option<Vec<String>> {
        None
    }

    /// What a call of a function stands for: none if there is no such function. `first` is the first argument if that is a text,
    /// `keys` are the constant keys behind the call.
    fn function(
        &self,
        _name: &str,
        _first: Option<&str>,
        _args: usize,
        _keys: &[Key<'_>],
    ) -> Option<Result<Self::Var, Doubt>> {
        None
    }

    /// The functions that the template engine does not have.
    fn functions(&self) -> &'static [&'static str] {
        &[]
    }

    /// The functions that the template engine has as well: each is a [table](Values::table) there that can be called.
    fn engine_functions(&self) -> &'static [&'static str] {
        &[]
    }

    /// Why a use of a variable is doubtful, although it works.
    fn doubt(&self, _variable: &Self::Var) -> Option<Doubt> {
        None
    }
}

/// The values that a template is rendered with.
pub trait Values<'m, V> {
    /// The value of a variable.
    fn get(&self, variable: &'m V) -> Val<'m>;

    /// Appends the value of a variable as text.
    fn push(&self, variable: &'m V, out: &mut String) {
        self.get(variable).push_to(out);
    }

    /// The value of a function of [`Names::function`] for its arguments behind the first.
    fn call(&self, _function: &'m V, _args: &[Val<'m>]) -> Val<'m> {
        Val::Undefined
    }

    /// A table by its name, for templates that compute its keys or iterate over it.
    fn table(&self, name: &str) -> Value;
}
