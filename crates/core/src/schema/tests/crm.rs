//! The default schema.

use super::*;
use crate::id::WorkspaceId;

#[test]
fn sch_3_the_default_schema_parses() {
    let text = include_str!("../../../../../schema/crm.toml");
    if let Err(error) = Schema::parse(text, "schema/crm.toml") {
        panic!("{error}");
    }
    let schema = Schema::crm();
    assert_eq!((schema.entities.len(), schema.hash.len()), (27, 16));
    let fields: usize = schema.entities.values().map(|entity| entity.fields.len()).sum();
    assert_eq!((fields, schema.entities["contacts"].fields.len()), (317, 55));
}

#[test]
fn sch_3_a_schema_is_shared_between_threads() {
    fn assert_shared<T: Send + Sync>() {}
    assert_shared::<Schema>();
}

#[test]
fn sch_4_every_field_is_in_exactly_one_group() {
    for entity in Schema::crm().entities.values() {
        for field in entity.fields.values() {
            assert!(entity.group_of(field).fields.contains(&field.name), "{}.{}", entity.name, field.name);
        }
        let grouped: usize = entity.groups.iter().map(|group| group.fields.len()).sum();
        assert_eq!(grouped, entity.fields.len(), "{}", entity.name);
    }
}

#[test]
fn sch_3_strategies_are_those_of_the_domain() {
    let schema = Schema::crm();
    let table = [
        ("contacts", "city", "last-write-wins", 6),
        ("contacts", "tags", "add-wins-set", 1),
        ("contacts", "assigned_to", "higher-role-wins", 1),
        ("contacts", "dnd", "most-restrictive-wins", 1),
        ("contacts", "metadata", "merge-keys", 1),
        ("contacts", "last_contacted_at", "max", 1),
        ("contacts", "notes", "version-control", 1),
        ("contacts", "firstname", "merge-fields", 1),
        ("companies", "address", "last-write-wins", 1),
        ("leads", "currency", "manual-review", 2),
        ("leads", "qualification_status", "state-machine", 1),
        ("opportunities", "amount", "manual-review", 3),
        ("opportunities", "stage_id", "last-write-wins", 3),
        ("appointments", "end_at", "manual-review", 3),
        ("messages", "status", "monotone", 1),
        ("tasks", "status", "priority-wins", 1),
        ("proposals", "lines", "manual-review", 1),
        ("proposals", "status", "state-machine", 1),
    ];
    for (entity, field, expected, size) in table {
        let entity = &schema.entities[entity];
        let group = entity.group_of(&entity.fields[field]);
        let name = match &group.strategy {
            Strategy::LastWriteWins => "last-write-wins",
            Strategy::MergeFields => "merge-fields",
            Strategy::AddWinsSet => "add-wins-set",
            Strategy::Counter => "counter",
            Strategy::Max => "max",
            Strategy::Monotone { .. } => "monotone",
            Strategy::PriorityWins { order } => {
                assert_eq!(order.last().map(Name::as_str), Some("done"));
                "priority-wins"
            }
            Strategy::MergeKeys => "merge-keys",
            Strategy::MostRestrictiveWins => "most-restrictive-wins",
            Strategy::HigherRoleWins => "higher-role-wins",
            Strategy::ManualReview => "manual-review",
            Strategy::VersionControl => "version-control",
            Strategy::StateMachine { .. } => "state-machine",
        };
        assert_eq!((name, group.fields.len()), (expected, size), "{}.{field}", entity.name);
    }
}

#[test]
fn sch_3_an_approved_proposal_never_becomes_a_draft() {
    let schema = Schema::crm();
    let entity = &schema.entities["proposals"];
    let Strategy::StateMachine { transitions } = &entity.group_of(&entity.fields["status"]).strategy else {
        panic!("proposals.status is a state machine")
    };
    for state in ["approved", "sent", "accepted"] {
        let targets = transitions.get(state).cloned().unwrap_or_default();
        assert!(!targets.iter().any(|target| target == "draft" || target == "in_review"), "{state}");
    }
}

#[test]
fn sch_3_what_only_the_server_writes_is_marked() {
    let schema = Schema::crm();
    for name in ["workspaces", "users", "workspace_members", "conflicts", "imports", "merges", "approvals"] {
        assert_eq!(schema.entities[name].access.create, None, "{name}");
    }
    for name in ["imports", "merges", "workspace_members"] {
        let open = schema.entities[name].fields.values().find(|field| !field.is_server_only);
        assert!(open.is_none(), "{name}.{:?}", open.map(|field| &field.name));
    }
    let writable = |name: &str| -> Vec<&str> {
        let fields = schema.entities[name].fields.values().filter(|field| !field.is_server_only);
        fields.map(|field| field.name.as_str()).collect()
    };
    assert_eq!(writable("users"), ["avatar_url", "locale", "name", "phone", "timezone"]);
    assert_eq!(writable("conflicts"), ["assigned_to", "due_at"], "how a conflict is decided is the engine's");
}

#[test]
fn sch_3_references_are_indexed_and_never_delete_leads_with_a_user() {
    let schema = Schema::crm();
    for entity in schema.entities.values() {
        assert!(entity.fields.values().all(|field| field.references.is_none() || field.is_indexed), "{}", entity.name);
    }
    let cascades = schema.referrers("users").filter(|(.., on_delete)| *on_delete == OnDelete::Cascade);
    let mut names: Vec<&str> = cascades.map(|(entity, ..)| entity.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["settings", "workspace_members"]);
}

#[test]
fn id_3_natural_ids_follow_from_the_fields() {
    let schema = Schema::crm();
    let workspace = WorkspaceId::new("acme").unwrap();
    let fields = Fields::from([("scope".into(), Value::from("workspace")), ("key".into(), Value::from("theme"))]);
    let id = schema.entities["settings"].natural_id(&workspace, &fields);
    assert_eq!(id, Some(RecordId::natural(&workspace, "settings", "workspace\0\0theme")));
    assert_eq!(schema.entities["contacts"].natural_id(&workspace, &fields), None);
}

#[test]
fn val_1_a_new_contact_is_brought_to_its_canonical_form() {
    let schema = Schema::crm();
    let fields: Fields = serde_json::from_str(
        r#"{"email": "Ann@Example.COM", "tags": ["VIP", "vip "], "estimated_value": 12.5, "city": null,
            "metadata": {"a": 1, "b": null}, "last_contacted_at": "2026-11-21T10:30:00+01:00"}"#,
    )
    .unwrap();
    let created = schema.entities["contacts"].canonical_create(fields).unwrap();
    let expected = r#"{"email":"Ann@example.com","estimated_value":"12.50","is_archived":false,"last_contacted_at":"2026-11-21T09:30:00.000Z","metadata":{"a":1},"tags":["vip"]}"#;
    assert_eq!(serde_json::to_string(&created).unwrap(), expected);
}

#[test]
fn val_1_a_refusal_names_the_field_and_what_was_expected() {
    let schema = Schema::crm();
    let table = [
        ("contacts", "fax", Value::from("1"), "fax: unknown field of contacts"),
        ("contacts", "email", Value::from("x"), "email: expected an e-mail address like name@example.com"),
        ("contacts", "priority", Value::from("hot"), "priority: expected one of low, medium, high, urgent"),
        ("companies", "domain", Value::from("acme.com"), "name: is required"),
        ("products", "tax_rate", Value::from("1.5"), "tax_rate: expected at most 1.0000"),
    ];
    for (entity, field, value, expected) in table {
        let refused = schema.entities[entity].canonical_create(Fields::from([(field.into(), value)]));
        assert_eq!(refused.map_err(|invalid| invalid.to_string()), Err(expected.to_owned()));
    }
}

#[test]
fn rul_1_a_merged_record_that_outgrew_its_limits_is_refused() {
    let schema = Schema::crm();
    let contacts = &schema.entities["contacts"];
    let tags: Vec<String> = (0..101).map(|index| format!("tag{index:03}")).collect();
    let refused = contacts.check_merged(&Fields::from([("tags".into(), Value::from(tags))]));
    assert_eq!(refused.map_err(|invalid| invalid.to_string()), Err("tags: expected at most 100 items".to_owned()));
    let large = serde_json::json!({"a": "x".repeat(70_000)});
    assert!(contacts.check_merged(&Fields::from([("metadata".into(), large)])).is_err());
    assert!(contacts.check_merged(&Fields::new()).is_ok());
}
