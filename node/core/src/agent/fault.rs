//! A field that is wrong, before it is known whose it is.

use std::borrow::Cow;

/// Where and what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The path within the agent.
    pub(super) field: String,
    /// What is wrong, and what is allowed.
    pub(super) problem: Cow<'static, str>,
}

impl Fault {
    /// Puts a fault found in a part below the field that holds the part.
    pub(super) fn below(outer: &'static str) -> impl Fn(Self) -> Self {
        move |Self { field, problem }| Self {
            field: if field.is_empty() {
                outer.to_owned()
            } else if field.starts_with('[') {
                format!("{outer}{field}")
            } else {
                format!("{outer}.{field}")
            },
            problem,
        }
    }
}

/// A fault as an error.
pub(super) fn fault<T>(
    field: impl Into<String>,
    problem: impl Into<Cow<'static, str>>,
) -> Result<T, Fault> {
    Err(Fault { field: field.into(), problem: problem.into() })
}
