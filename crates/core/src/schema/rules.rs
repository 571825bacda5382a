//! Business rules as expressions (design D6): who may do what, and what must hold afterwards.
//!
//! Expressions are CEL over these variables, and over nothing else:
//! - `old.<field>`, `new.<field>`: the record's canonical values before and after. A field without a value is `null`; on a
//!   create every `old` field is `null`, on a delete every `new` field is. Decimals are doubles here (exact to 2^53
//!   units of the last digit; the stored text stays canonical), dates, timestamps and UUIDs are text (which compares in
//!   order of time), sets are lists, JSON is maps and lists.
//! - `changed.<field>`: whether the canonical values before and after differ; exact for decimals too.
//! - `op` (`create`, `update`, `delete`), `id` (of the record), `role`, `rank` and `user_id` of the author.
//!
//! A comparison with `null` by `<`, `<=`, `>`, `>=` is an error in CEL, and an error is a violation: guard it with
//! `new.x == null || …`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cel::common::ast::{EntryExpr, Expr, LiteralValue};
use cel::objects::Key;
use cel::{Context, IdedExpr, Program};

use super::pattern::environment;
use super::source::advice;
use super::{Entity, Field, FieldType};
use crate::{Fields, Name, Value};

/// A condition that every change of an entity's records must keep.
#[derive(Debug)]
pub struct Rule {
    pub name: Name,
    pub on: RuleOps,
    /// The rule applies only where this is true.
    pub when: Option<Expression>,
    /// Must be true.
    pub check: Expression,
    /// What a person is told when it is not.
    pub message: String,
}

/// The ops a rule applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuleOps {
    pub create: bool,
    pub update: bool,
    pub delete: bool,
}

impl RuleOps {
    pub fn includes(&self, op: &str) -> bool {
        match op {
            "create" => self.create,
            "update" => self.update,
            "delete" => self.delete,
            _ => false,
        }
    }
}

/// What a rule is asked about. `old` and `new` hold whole records with canonical values, not patches.
#[derive(Debug, Clone, Copy)]
pub struct RuleContext<'a> {
    /// `create`, `update` or `delete`; a restore is a `create`.
    pub op: &'a str,
    /// The record's id as text.
    pub id: &'a str,
    /// `None` on a create.
    pub old: Option<&'a Fields>,
    /// `None` on a delete.
    pub new: Option<&'a Fields>,
    pub role: &'a str,
    /// Rank of the role now; the server itself comes with `u8::MAX`.
    pub rank: u8,
    pub user_id: &'a str,
}

/// A rule that a change would break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuleViolation {
    pub rule: Name,
    pub message: String,
}

impl Entity {
    /// Checks the rules for `context.op` in the order they are declared; the first violation is returned. Without a
    /// rule for the op nothing is built or converted.
    pub fn check_rules(&self, context: &RuleContext<'_>) -> Result<(), RuleViolation> {
        let mut applicable = self.rules.iter().filter(|rule| rule.on.includes(context.op)).peekable();
        if applicable.peek().is_none() {
            return Ok(());
        }
        let root = root(context);
        applicable.try_for_each(|rule| self.check_rule(rule, context, &root))
    }

    /// Whether a condition holds. What cannot be evaluated does not.
    pub(super) fn holds(&self, condition: &Expression, about: &RuleContext<'_>) -> bool {
        condition.evaluate(self, about, &root(about)).unwrap_or(false)
    }

    fn check_rule(&self, rule: &Rule, about: &RuleContext<'_>, root: &Context<'_, '_>) -> Result<(), RuleViolation> {
        let holds = |expression: &Expression| {
            expression.evaluate(self, about, root).map_err(|error| RuleViolation {
                rule: rule.name.clone(),
                message: format!("{} (rule `{}` could not be evaluated: {error})", rule.message, rule.name),
            })
        };
        let applies = rule.when.as_ref().map_or(Ok(true), holds)?;
        if !applies || holds(&rule.check)? {
            return Ok(());
        }
        Err(RuleViolation { rule: rule.name.clone(), message: rule.message.clone() })
    }
}

/// What every expression may name besides fields.
fn root(about: &RuleContext<'_>) -> Context<'static, 'static> {
    let mut root = Context::with_env(environment());
    root.add_variable_from_value("op", about.op.to_owned());
    root.add_variable_from_value("id", about.id.to_owned());
    root.add_variable_from_value("role", about.role.to_owned());
    root.add_variable_from_value("rank", i64::from(about.rank));
    root.add_variable_from_value("user_id", about.user_id.to_owned());
    root
}

/// A compiled expression and the fields it reads, so that only those are converted.
#[derive(Debug)]
pub struct Expression {
    source: String,
    program: Program,
    reads: Reads,
}

#[derive(Debug, Default)]
struct Reads {
    old: BTreeSet<Name>,
    new: BTreeSet<Name>,
    changed: BTreeSet<Name>,
}

impl Expression {
    /// Compiles and checks every variable, field and function the expression names. Errors: what to change.
    pub(super) fn compile(source: &str, fields: &BTreeMap<Name, Field>) -> Result<Self, String> {
        let program = Program::compile(source).map_err(|error| {
            let error = error.to_string();
            let lines = error.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('|'));
            format!("not a valid expression: {}", lines.collect::<Vec<_>>().join(" "))
        })?;
        let mut scan = Scan { fields, reads: Reads::default(), locals: Vec::new() };
        scan.expression(program.expression())?;
        Ok(Self { source: source.to_owned(), reads: scan.reads, program })
    }

    /// The expression as declared.
    pub fn source(&self) -> &str {
        &self.source
    }

    fn evaluate(&self, entity: &Entity, about: &RuleContext<'_>, root: &Context<'_, '_>) -> Result<bool, String> {
        let value_of = |fields: Option<&Fields>, name: &Name| -> cel::Value {
            let kind = entity.fields.get(name).map(|field| &field.kind);
            let value = fields.and_then(|fields| fields.get(name));
            value.map_or(cel::Value::Null, |value| to_cel(value, kind))
        };
        let is_changed = |name: &Name| -> cel::Value {
            let side =
                |fields: Option<&'_ Fields>| fields.and_then(|fields| fields.get(name)).cloned().unwrap_or(Value::Null);
            cel::Value::Bool(side(about.old) != side(about.new))
        };
        let mut context = root.new_inner_scope();
        let variables = [("old", &self.reads.old), ("new", &self.reads.new), ("changed", &self.reads.changed)];
        for (variable, names) in variables.into_iter().filter(|(_, names)| !names.is_empty()) {
            let members = names.iter().map(|name| {
                let value = match variable {
                    "old" => value_of(about.old, name),
                    "new" => value_of(about.new, name),
                    _ => is_changed(name),
                };
                (Key::from(name.as_str()), value)
            });
            context.add_variable_from_value(variable, members.collect::<HashMap<Key, cel::Value>>());
        }
        match self.program.execute(&context) {
            Ok(cel::Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err(format!("`{}` is neither true nor false", self.source)),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A canonical value as CEL sees it; see the module's page.
fn to_cel(value: &Value, kind: Option<&FieldType>) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(flag) => cel::Value::Bool(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => cel::Value::Int(whole),
            None => number.as_f64().map_or(cel::Value::Null, cel::Value::Float),
        },
        Value::String(text) => {
            let number = matches!(kind, Some(FieldType::Decimal { .. })).then(|| text.parse::<f64>().ok()).flatten();
            number.map_or_else(|| cel::Value::from(text.as_str()), cel::Value::Float)
        }
        Value::Array(items) => cel::Value::from(items.iter().map(|item| to_cel(item, None)).collect::<Vec<_>>()),
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| (Key::from(name.as_str()), to_cel(member, None)));
            cel::Value::from(members.collect::<HashMap<Key, cel::Value>>())
        }
    }
}

const VARIABLES: &[&str] = &["old", "new", "changed", "op", "id", "role", "rank", "user_id"];
const FUNCTIONS: &[&str] =
    &["size", "contains", "startsWith", "endsWith", "matches", "string", "int", "double", "dyn", "type"];

/// Walks an expression, collects what it reads and refuses what could only fail later.
struct Scan<'a> {
    fields: &'a BTreeMap<Name, Field>,
    reads: Reads,
    locals: Vec<String>,
}

impl Scan<'_> {
    fn expression(&mut self, expression: &IdedExpr) -> Result<(), String> {
        match &expression.expr {
            Expr::Unspecified => Err("the expression is empty".to_owned()),
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.identifier(name),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(record) if self.is_record(record) => self.field(record, &select.field, select.test),
                _ => self.expression(&select.operand),
            },
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.expression(element)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(object) => Err(format!("unknown type `{}`; use a map `{{…}}`", object.type_name)),
            Expr::Call(call) => {
                let is_operator = !call.func_name.starts_with(|first: char| first.is_ascii_alphabetic());
                if !is_operator && !FUNCTIONS.contains(&call.func_name.as_str()) {
                    return Err(format!(
                        "unknown function `{}`; {}",
                        call.func_name,
                        advice(&call.func_name, FUNCTIONS)
                    ));
                }
                if let (true, Some(Expr::Literal(LiteralValue::String(pattern)))) =
                    (call.func_name == "matches", call.args.last().map(|last| &last.expr))
                {
                    super::Pattern::new(pattern.inner(), "")
                        .map_err(|error| format!("bad regular expression: {error}"))?;
                }
                call.target.iter().try_for_each(|target| self.expression(target))?;
                call.args.iter().try_for_each(|argument| self.expression(argument))
            }
            Expr::Comprehension(fold) => {
                self.expression(&fold.iter_range)?;
                self.expression(&fold.accu_init)?;
                let outer = self.locals.len();
                self.locals.extend([fold.iter_var.clone(), fold.accu_var.clone()]);
                self.locals.extend(fold.iter_var2.clone());
                let inner = [&fold.loop_cond, &fold.loop_step, &fold.result];
                let outcome = inner.into_iter().try_for_each(|part| self.expression(part));
                self.locals.truncate(outer);
                outcome
            }
        }
    }

    fn entry(&mut self, entry: &EntryExpr) -> Result<(), String> {
        match entry {
            EntryExpr::StructField(field) => self.expression(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.expression(&entry.key)?;
                self.expression(&entry.value)
            }
        }
    }

    fn is_record(&self, name: &str) -> bool {
        ["old", "new", "changed"].contains(&name) && !self.locals.iter().any(|local| local == name)
    }

    fn identifier(&self, name: &str) -> Result<(), String> {
        if self.is_record(name) {
            return Err(format!("`{name}` stands alone; name a field, as in `{name}.status`"));
        }
        if VARIABLES.contains(&name) || self.locals.iter().any(|local| local == name) {
            return Ok(());
        }
        Err(format!("unknown variable `{name}`; {}", advice(name, VARIABLES)))
    }

    fn field(&mut self, record: &str, field: &str, is_presence_test: bool) -> Result<(), String> {
        let Some((name, _)) = self.fields.get_key_value(field) else {
            let known: Vec<&str> = self.fields.keys().map(Name::as_str).collect();
            return Err(format!("unknown field `{record}.{field}`; {}", advice(field, &known)));
        };
        if is_presence_test {
            return Err(format!("every field is present; write `{record}.{field} != null` instead of `has(…)`"));
        }
        let names = match record {
            "old" => &mut self.reads.old,
            "new" => &mut self.reads.new,
            _ => &mut self.reads.changed,
        };
        names.insert(name.clone());
        Ok(())
    }
}
