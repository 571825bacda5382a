//! Reads a whole declaration: roles and entities with their groups, uniqueness, scope and rules.

use std::collections::BTreeMap;

use super::declare::{self, Declared};
use super::derived::Derived;
use super::source::{Node, SchemaError, Source, Table, advice};
use super::{
    Entity, EntityAccess, Field, FieldType, Group, IdRule, Rule, RuleOps, Schema, ScopeRule, Strategy, Tier, Unique,
    check, rules,
};
use crate::Name;

const ENTITY_KEYS: &[&str] = &[
    "tier",
    "scope",
    "title",
    "create",
    "update",
    "delete",
    "id",
    "insert_only",
    "fields",
    "groups",
    "unique",
    "rules",
    "derived",
];
/// Members that every record has beside its fields.
const IMPLICIT_FIELDS: &[&str] = &["id", "workspace_id"];

impl Schema {
    /// Reads a declaration in TOML; `file_name` stands in error messages. Every mistake is refused with its line and
    /// what to do. Regular expressions and rule expressions are compiled here, once.
    pub fn parse(text: &str, file_name: &str) -> Result<Schema, SchemaError> {
        Self::read(&Source::parse(text, file_name)?)
    }

    pub(super) fn read(source: &Source<'_>) -> Result<Schema, SchemaError> {
        let top = source.root().table("the schema", &["version", "roles", "entities"])?;
        let version = top.require("version")?.integer(1, i64::from(u32::MAX))?;
        let roles = roles(&top.require("roles")?)?;
        let tables = top.require("entities")?.open_table("`entities`")?;
        let entities = tables.entries().map(|(name, node)| {
            let entity = entity(checked_name(name, &node)?, &node, &roles)?;
            Ok((entity.name.clone(), entity))
        });
        let entities = entities.collect::<Result<_, SchemaError>>()?;
        let version = u32::try_from(version).unwrap_or(u32::MAX);
        let schema = Schema { version, hash: source.hash(), roles, entities };
        check::check(&schema, source)?;
        Ok(schema)
    }

    /// The default CRM schema, `schema/crm.toml`.
    pub fn crm() -> Schema {
        let text = include_str!("../../../../schema/crm.toml");
        Schema::parse(text, "schema/crm.toml").expect("a test parses the schema that is built in")
    }
}

fn roles(node: &Node<'_>) -> Result<BTreeMap<Name, u8>, SchemaError> {
    let table = node.open_table("`roles`")?;
    let ranks = table.entries().map(|(role, rank)| {
        let value = rank.integer(1, 100)?;
        Ok((checked_name(role, &rank)?, u8::try_from(value).unwrap_or(100)))
    });
    let ranks: BTreeMap<Name, u8> = ranks.collect::<Result<_, SchemaError>>()?;
    if ranks.is_empty() { Err(node.error("`roles` needs at least one role with its rank")) } else { Ok(ranks) }
}

fn entity(name: Name, node: &Node<'_>, roles: &BTreeMap<Name, u8>) -> Result<Entity, SchemaError> {
    let table = node.table(&format!("entity `{name}`"), ENTITY_KEYS)?;
    let declared = fields(&table, roles)?;
    let (groups, mut fields) = groups(&table, declared)?;
    let is_insert_only = table.flag("insert_only")?;
    let title = table.get("title").map(|node| field_name(&node, &fields)).transpose()?;
    let id = match table.get("id") {
        None => IdRule::Minted,
        Some(node) => IdRule::Natural(field_names(&node, &fields)?),
    };
    let scope =
        table.require("scope")?.array()?.iter().map(|node| scope_rule(node, &fields)).collect::<Result<_, _>>()?;
    let unique = elements(&table, "unique")?.iter().map(|node| unique(node, &fields)).collect::<Result<_, _>>()?;
    let rules = elements(&table, "rules")?.iter().map(|node| rule(node, &fields)).collect::<Result<_, _>>()?;
    let derived = elements(&table, "derived")?;
    let derived = derived.iter().map(|node| Derived::parse(node, &mut fields)).collect::<Result<_, _>>()?;
    let tier = match table.require("tier")?.word("tier", &["critical", "important", "normal", "background"])? {
        "critical" => Tier::Critical,
        "important" => Tier::Important,
        "normal" => Tier::Normal,
        _ => Tier::Background,
    };
    let access = access(&table, is_insert_only, roles)?;
    Ok(Entity { name, fields, groups, scope, tier, access, unique, rules, derived, id, is_insert_only, title })
}

fn access(table: &Table<'_>, is_insert_only: bool, roles: &BTreeMap<Name, u8>) -> Result<EntityAccess, SchemaError> {
    let rank_of = |key: &str| {
        let node = table.require(key)?;
        if node.text()? == "server" { Ok(None) } else { declare::rank(&node, roles).map(Some) }
    };
    let update = match table.get("update") {
        Some(stray) if is_insert_only => {
            return Err(stray.error("an insert-only entity is never updated; remove `update`"));
        }
        None if is_insert_only => None,
        _ => rank_of("update")?,
    };
    Ok(EntityAccess { create: rank_of("create")?, update, delete: rank_of("delete")? })
}

fn fields(table: &Table<'_>, roles: &BTreeMap<Name, u8>) -> Result<BTreeMap<Name, Declared>, SchemaError> {
    let node = table.require("fields")?;
    let fields = node.open_table("`fields`")?;
    let declared = fields.entries().map(|(name, node)| {
        if IMPLICIT_FIELDS.contains(&name) {
            return Err(node.error(format!("every record has `{name}`; remove this field")));
        }
        let name = checked_name(name, &node)?;
        let declared = declare::field(&name, &node, roles)?;
        Ok((name, declared))
    });
    declared.collect()
}

type Grouped = (Vec<Group>, BTreeMap<Name, Field>);

/// Puts every field into exactly one group: the declared ones, then one per remaining field.
fn groups(table: &Table<'_>, mut declared: BTreeMap<Name, Declared>) -> Result<Grouped, SchemaError> {
    let mut groups: Vec<Group> = Vec::new();
    let tables = table.get("groups").map(|node| node.open_table("`groups`")).transpose()?;
    for (name, node) in tables.iter().flat_map(Table::entries) {
        let name = checked_name(name, &node)?;
        if declared.contains_key(&name) {
            return Err(node.error(format!("`{name}` is already the name of a field; name the group differently")));
        }
        let group = node.table(&format!("group `{name}`"), &["fields", "strategy"])?;
        let members = group.require("fields")?;
        let mut fields = declare::names(&members)?;
        if fields.len() < 2 {
            return Err(members.error("a group needs at least two fields; a single field is a group by itself"));
        }
        for member in members.array()? {
            let field = join_group(&member, groups.len(), &mut declared)?;
            if let Some(other) = field {
                let other = &groups[other].name;
                return Err(member.error(format!("this field is already in group `{other}`; a field is in one group")));
            }
        }
        fields.sort();
        let strategy = declare::strategy(&group)?.unwrap_or(Strategy::MergeFields);
        groups.push(Group { name, fields, strategy });
    }
    for (name, Declared { field, strategy }) in &mut declared {
        if field.group == declare::UNGROUPED {
            field.group = groups.len();
            let strategy = strategy.take().unwrap_or_else(|| default_strategy(&field.kind));
            groups.push(Group { name: name.clone(), fields: vec![name.clone()], strategy });
        }
    }
    let fields = declared.into_iter().map(|(name, declared)| (name, declared.field)).collect();
    Ok((groups, fields))
}

/// Marks the field as a member of group number `group`; returns the group it is in already.
fn join_group(
    member: &Node<'_>,
    group: usize,
    declared: &mut BTreeMap<Name, Declared>,
) -> Result<Option<usize>, SchemaError> {
    let name = field_name(member, declared)?;
    let Some(Declared { field, strategy }) = declared.get_mut(&name) else { return Ok(None) };
    if strategy.is_some() {
        return Err(
            member.error(format!("`{name}` declares a strategy of its own; the group's decides, remove the other"))
        );
    }
    if field.group != declare::UNGROUPED {
        return Ok(Some(field.group));
    }
    field.group = group;
    Ok(None)
}

fn default_strategy(kind: &FieldType) -> Strategy {
    match kind {
        FieldType::Set { .. } => Strategy::AddWinsSet,
        FieldType::Counter => Strategy::Counter,
        FieldType::Text { .. }
        | FieldType::Choice { .. }
        | FieldType::Integer { .. }
        | FieldType::Decimal { .. }
        | FieldType::Boolean
        | FieldType::Date
        | FieldType::Timestamp
        | FieldType::Uuid
        | FieldType::Json { .. } => Strategy::MergeFields,
    }
}

fn scope_rule(node: &Node<'_>, fields: &BTreeMap<Name, Field>) -> Result<ScopeRule, SchemaError> {
    let text = node.text()?;
    if text == "workspace" {
        return Ok(ScopeRule::Workspace);
    }
    let call = text.strip_suffix(')').and_then(|text| text.split_once('('));
    let Some((rule, field)) = call.filter(|(rule, _)| ["team", "owner", "inherit"].contains(rule)) else {
        let advice = "use `workspace`, `team(field)`, `owner(field)` or `inherit(field)`";
        return Err(node.error(format!("unknown scope rule `{text}`; {advice}")));
    };
    let field = known_field(node, field, fields)?;
    Ok(match rule {
        "team" => ScopeRule::Team(field),
        "owner" => ScopeRule::Owner(field),
        _ => ScopeRule::Inherit(field),
    })
}

fn unique(node: &Node<'_>, fields: &BTreeMap<Name, Field>) -> Result<Unique, SchemaError> {
    let table = node.table("`unique`", &["name", "fields", "case_folded"])?;
    let name = table.require("name")?;
    Ok(Unique {
        name: checked_name(name.text()?, &name)?,
        fields: field_names(&table.require("fields")?, fields)?,
        is_case_folded: table.flag("case_folded")?,
    })
}

fn rule(node: &Node<'_>, fields: &BTreeMap<Name, Field>) -> Result<Rule, SchemaError> {
    let table = node.table("`rules`", &["name", "on", "when", "check", "message"])?;
    let name = table.require("name")?;
    let on_node = table.require("on")?;
    let mut on = RuleOps::default();
    for op in on_node.array()? {
        match op.word("op", &["create", "update", "delete"])? {
            "create" => on.create = true,
            "update" => on.update = true,
            _ => on.delete = true,
        }
    }
    if on == RuleOps::default() {
        return Err(on_node.error("`on` needs at least one of create, update, delete"));
    }
    let expression =
        |node: Node<'_>| rules::Expression::compile(node.text()?, fields).map_err(|message| node.error(message));
    let message = table.require("message")?.text()?;
    if message.trim().is_empty() {
        return Err(table.require("message")?.error("say in `message` what a person must do"));
    }
    Ok(Rule {
        name: checked_name(name.text()?, &name)?,
        on,
        when: table.get("when").map(expression).transpose()?,
        check: expression(table.require("check")?)?,
        message: message.to_owned(),
    })
}

fn elements<'a>(table: &Table<'a>, key: &str) -> Result<Vec<Node<'a>>, SchemaError> {
    table.get(key).map_or(Ok(Vec::new()), |node| node.array())
}

fn field_name<T>(node: &Node<'_>, fields: &BTreeMap<Name, T>) -> Result<Name, SchemaError> {
    known_field(node, node.text()?, fields)
}

fn field_names<T>(node: &Node<'_>, fields: &BTreeMap<Name, T>) -> Result<Vec<Name>, SchemaError> {
    let names = declare::names(node)?;
    if names.is_empty() {
        return Err(node.error("name at least one field"));
    }
    node.array()?.iter().try_for_each(|element| field_name(element, fields).map(drop))?;
    Ok(names)
}

fn known_field<T>(node: &Node<'_>, name: &str, fields: &BTreeMap<Name, T>) -> Result<Name, SchemaError> {
    match fields.get_key_value(name) {
        Some((name, _)) => Ok(name.clone()),
        None => {
            let known: Vec<&str> = fields.keys().map(Name::as_str).collect();
            Err(node.error(format!("unknown field `{name}`; {}", advice(name, &known))))
        }
    }
}

/// Names become table and column names: lower snake case, at most 63 characters.
fn checked_name(name: &str, node: &Node<'_>) -> Result<Name, SchemaError> {
    let is_body = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_valid = name.len() <= 63 && name.starts_with(|first: char| first.is_ascii_lowercase());
    if is_valid && name.bytes().all(is_body) {
        return Ok(Name::new(name));
    }
    Err(node.error(format!("`{name}` is not a name: use 1 to 63 of a-z, 0-9 and _, starting with a letter")))
}
