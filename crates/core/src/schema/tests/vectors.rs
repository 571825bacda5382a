//! Replays the vectors that every implementation must pass.

use serde::Deserialize;
use serde_json::json;

use super::super::source::Source;
use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValueCase {
    name: String,
    #[serde(rename = "type")]
    kind: Value,
    /// The value of an update, where sets, counters and fields merged by key take their patch form.
    #[serde(default)]
    patch: bool,
    input: Value,
    #[serde(default)]
    canonical: Value,
    #[serde(default)]
    error: bool,
}

fn entity_of(kind: &Value) -> Schema {
    let declaration = json!({
        "version": 1, "roles": {"agent": 30},
        "entities": {"e": {
            "tier": "normal", "scope": ["workspace"], "create": "agent", "update": "agent", "delete": "agent",
            "fields": {"f": kind},
        }},
    });
    Schema::read(&Source::of_json(declaration)).unwrap()
}

#[test]
fn val_1_values_take_the_canonical_form_of_the_vectors() {
    let cases: Vec<ValueCase> = serde_json::from_str(include_str!("../../../../../spec/vectors/values.json")).unwrap();
    assert!(cases.len() > 250);
    for case in cases {
        let schema = entity_of(&case.kind);
        let entity = &schema.entities["e"];
        let run = |input: Value| {
            let fields = Fields::from([(Name::new("f"), input)]);
            let fields = if case.patch { entity.canonical_update(fields) } else { entity.canonical_create(fields) };
            fields.map(|fields| fields.get("f").cloned().unwrap_or(Value::Null))
        };
        match run(case.input.clone()) {
            Err(invalid) => assert!(case.error, "{}: {invalid}", case.name),
            Ok(value) => {
                assert!(!case.error, "{}: accepted as {value}", case.name);
                assert_eq!(value, case.canonical, "{}", case.name);
                assert_eq!(run(value).unwrap(), case.canonical, "{}: a canonical value stays", case.name);
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleCase {
    name: String,
    entity: Name,
    context: Context,
    violates: Option<Name>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Context {
    op: String,
    id: String,
    old: Option<Fields>,
    new: Option<Fields>,
    role: String,
    rank: u8,
    user_id: String,
}

#[test]
fn rul_1_the_rules_of_the_default_schema_decide_the_vectors() {
    let cases: Vec<RuleCase> = serde_json::from_str(include_str!("../../../../../spec/vectors/rules.json")).unwrap();
    let schema = Schema::crm();
    for case in &cases {
        let RuleCase { name, entity, context, violates } = case;
        let context = RuleContext {
            op: &context.op,
            id: &context.id,
            old: context.old.as_ref(),
            new: context.new.as_ref(),
            role: &context.role,
            rank: context.rank,
            user_id: &context.user_id,
        };
        let outcome = schema.entities[entity].check_rules(&context);
        assert_eq!(outcome.as_ref().err().map(|violation| &violation.rule), violates.as_ref(), "{name}: {outcome:?}");
        let message = outcome.err().map(|violation| violation.message).unwrap_or_default();
        assert!(!message.contains("could not be evaluated"), "{name}: {message}");
    }
    for entity in schema.entities.values() {
        for rule in &entity.rules {
            let is_shown =
                cases.iter().any(|case| case.violates.as_ref() == Some(&rule.name) && case.entity == entity.name);
            assert!(is_shown, "no vector violates {}.{}", entity.name, rule.name);
        }
    }
}

fn violation(rule: &str, new: Fields) -> Option<RuleViolation> {
    let text = format!(
        "[entities.e.fields]\nd = {{ type = \"decimal\", precision = 9, scale = 2 }}\nt = {{ type = \"text\" }}\n{rule}"
    );
    let schema = Schema::parse(&around(&text), "x").unwrap();
    let new = Some(&new);
    let context = RuleContext { op: "create", id: "i", old: None, new, role: "agent", rank: 30, user_id: "u" };
    schema.entities["e"].check_rules(&context).err()
}

#[test]
fn rul_1_a_rule_that_cannot_be_evaluated_is_a_violation_that_says_so() {
    for check in ["new.d > 5", "new.t + 1 == 2", "new.t", "new.t.x == 1", "size(new.d) == 1", "1 / 0 == 1"] {
        let rule = format!(
            "[[entities.e.rules]]\nname = \"r\"\non = [\"create\"]\ncheck = \"{check}\"\nmessage = \"Do it.\"\n"
        );
        let violation = violation(&rule, Fields::from([("t".into(), Value::from("x"))])).expect(check);
        assert_eq!(violation.rule, "r");
        assert!(violation.message.starts_with("Do it. (rule `r` could not be evaluated: "), "{}", violation.message);
    }
}

#[test]
fn rul_1_absent_fields_are_null_and_decimals_are_numbers_in_rules() {
    let absent = ["new.d == null", "old.t == null", "!changed.d", "changed.t", "new.d == null || new.d > 5"];
    let twelve = ["new.d == 12.5", "new.d > 12", "new.d < 13.0", "changed.d", "[new.d, 1.0].all(x, x > 0.5)"];
    let text = ["new.t.startsWith('a')", "size(new.t) == 3", "new.t.matches('^a.c$')", "new.t in ['abc']"];
    let record = Fields::from([("t".into(), Value::from("abc"))]);
    let mut priced = record.clone();
    priced.insert("d".into(), Value::from("12.50"));
    let tables = [(record.clone(), &absent[..]), (priced, &twelve[..]), (record, &text[..])];
    for (fields, checks) in tables {
        for check in checks {
            let rule = format!(
                "[[entities.e.rules]]\nname = \"r\"\non = [\"create\"]\ncheck = \"{check}\"\nmessage = \"m\"\n"
            );
            assert_eq!(violation(&rule, fields.clone()), None, "{check}");
        }
    }
}
