//! Regular expressions of text fields.

use std::sync::{Arc, OnceLock};

use cel::{Context, Env, Program};

/// A regular expression that a whole text must match.
///
/// Checked and compiled to a program when the schema is parsed. It runs on the regular-expression engine of the rule
/// language, so that rules and formats agree on the syntax (linear time, no back-references); that engine prepares the
/// expression per check (tens of microseconds), which is why the common formats have their own checks.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    message: String,
    program: Arc<Program>,
}

impl Pattern {
    /// `message`: what a person is told when the text does not match. Errors: what is wrong with `source`.
    pub fn new(source: &str, message: &str) -> Result<Self, String> {
        let anchored = serde_json::Value::from(format!(r"\A(?:{source})\z"));
        let program = Program::compile(&format!("value.matches({anchored})")).map_err(|error| error.to_string())?;
        let pattern = Self { source: source.to_owned(), message: message.to_owned(), program: Arc::new(program) };
        pattern.evaluate("").map(|_| pattern)
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn is_match(&self, text: &str) -> bool {
        // `new` has run the program once; it cannot fail on another text.
        self.evaluate(text).unwrap_or(false)
    }

    fn evaluate(&self, text: &str) -> Result<bool, String> {
        let mut context = Context::with_env(environment());
        context.add_variable_from_value("value", text.to_owned());
        match self.program.execute(&context) {
            Ok(cel::Value::Bool(is_match)) => Ok(is_match),
            Ok(other) => Err(format!("expected true or false, got {other:?}")),
            Err(error) => Err(error.to_string().replace('\n', " ")),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.message == other.message
    }
}

/// The functions expressions may call, built once.
pub(super) fn environment() -> Arc<Env> {
    static ENVIRONMENT: OnceLock<Arc<Env>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| Arc::new(Env::stdlib())).clone()
}
