//! One line per mistake a schema author can make, and what they are told.

use super::*;

/// Lines of an entity, which of them is wrong (from 0), and what the message must say.
const MISTAKES: &[(&str, usize, &str)] = &[
    // shape
    ("fields = {}\ntitel = \"x\"", 1, "unknown key `titel` in entity `e`; did you mean `title`?"),
    ("fields = 3", 0, "`fields` must be a table"),
    ("title = 5\nfields = {}", 0, "`title` must be a text in quotes"),
    ("insert_only = \"yes\"\nfields = {}", 0, "`insert_only` must be `true` or `false`"),
    ("fields = { a = { type = \"text\", since = 2026-01-01 } }", 0, "put dates and times in quotes"),
    ("fields = { a = { type = \"decimal\", precision = 5, scale = nan } }", 0, "`inf` and `nan`"),
    // names
    ("fields = { Name = { type = \"text\" } }", 0, "`Name` is not a name: use 1 to 63 of a-z"),
    ("fields = { id = { type = \"uuid\" } }", 0, "every record has `id`; remove this field"),
    ("fields = {}\ntitle = \"x\"", 1, "unknown field `x`"),
    // types
    ("fields = { a = { max_len = 5 } }", 0, "field `a` needs `type`"),
    ("fields = { a = { type = \"txt\" } }", 0, "unknown type `txt` (did you mean `text`?); use one of text, choice"),
    ("fields = { a = { tpye = \"text\" } }", 0, "unknown key `tpye` in field `a`; did you mean `type`?"),
    (
        "fields = { a = { type = \"integer\", max_len = 5 } }",
        0,
        "`max_len` has no meaning for type `integer`, which takes min, max",
    ),
    ("fields = { a = { type = \"date\", min = 5 } }", 0, "`min` has no meaning for type `date`; remove it"),
    ("fields = { a = { type = \"text\", max_len = 0 } }", 0, "`max_len` must be a whole number from 1 to"),
    ("fields = { a = { type = \"text\", format = \"mail\" } }", 0, "unknown format `mail`"),
    ("fields = { a = { type = \"text\", pattern = \"(\", pattern_message = \"m\" } }", 0, "bad regular expression"),
    ("fields = { a = { type = \"text\", pattern = \"a\" } }", 0, "needs `pattern_message`"),
    ("fields = { a = { type = \"text\", pattern = \"a\", format = \"email\" } }", 0, "exclude each other"),
    ("fields = { a = { type = \"choice\", choices = [] } }", 0, "`choices` needs at least one word"),
    ("fields = { a = { type = \"choice\", choices = [\"x\", \"x\"] } }", 0, "`x` is listed twice; remove one"),
    ("fields = { a = { type = \"integer\", min = 5, max = 1 } }", 0, "`min` 5 is above `max` 1"),
    (
        "fields = { a = { type = \"decimal\", precision = 5, scale = 6 } }",
        0,
        "`scale` must be a whole number from 0 to 5",
    ),
    (
        "fields = { a = { type = \"decimal\", precision = 5, scale = 2, max = \"1.234\" } }",
        0,
        "`max` does not fit the field",
    ),
    ("fields = { a = { type = \"set\", items = \"number\" } }", 0, "unknown set item `number`"),
    (
        "fields = { a = { type = \"integer\", default = \"x\" } }",
        0,
        "the default does not fit the field: expected a whole number",
    ),
    ("fields = { a = { type = \"choice\", choices = [\"x\"], default = \"y\" } }", 0, "the default does not fit"),
    ("fields = { a = { type = \"json\", indexed = true } }", 0, "JSON has no equality index"),
    ("fields = { a = { type = \"text\", min_role = \"agnet\" } }", 0, "unknown role `agnet`; did you mean `agent`?"),
    (
        "fields = { a = { type = \"text\", min_role = \"admin\", server_only = true } }",
        0,
        "remove `min_role` or `server_only`",
    ),
    (
        "fields = { a = { type = \"text\", stamp = \"created\", server_only = true } }",
        0,
        "time stamps need type `timestamp`",
    ),
    ("fields = { a = { type = \"timestamp\", stamp = \"created\" } }", 0, "write `server_only = true`"),
    ("fields = { a = { type = \"timestamp\", stamp = \"sometimes\" } }", 0, "unknown stamp `sometimes`"),
    // references
    ("fields = { a = { type = \"uuid\", references = \"f\" } }", 0, "unknown entity `f`; did you mean `e`?"),
    ("fields = { a = { type = \"text\", references = \"e\" } }", 0, "declare `type = \"uuid\"`"),
    ("fields = { a = { type = \"uuid\", references = \"e\", on_delete = \"drop\" } }", 0, "unknown on_delete `drop`"),
    (
        "fields = { a = { type = \"uuid\", references = \"e\", required = true } }",
        0,
        "a required `a` cannot be cleared",
    ),
    ("fields = { a = { type = \"uuid\", on_delete = \"keep\" } }", 0, "`on_delete` belongs to `references`"),
    // strategies
    ("fields = { a = { type = \"text\", strategy = \"last-writer\" } }", 0, "unknown strategy `last-writer`"),
    ("fields = { a = { type = \"text\", strategy = \"last-write-win\" } }", 0, "did you mean `last-write-wins`?"),
    ("fields = { a = { type = \"text\", strategy = \"server-only\" } }", 0, "write `server_only = true`"),
    ("fields = { a = { type = \"text\", strategy = \"add-wins-set\" } }", 0, "`a`: `add-wins-set` needs type `set`"),
    ("fields = { a = { type = \"text\", strategy = \"counter\" } }", 0, "needs type `counter`"),
    (
        "fields = { a = { type = \"text\", strategy = \"max\" } }",
        0,
        "`max` needs type integer, decimal, date or timestamp",
    ),
    ("fields = { a = { type = \"text\", strategy = \"merge-keys\" } }", 0, "`merge-keys` needs type `json`"),
    (
        "fields = { a = { type = \"set\", items = \"text\", strategy = \"manual-review\" } }",
        0,
        "a set merges by `add-wins-set`",
    ),
    ("fields = { a = { type = \"counter\", strategy = \"max\" } }", 0, "a counter merges by `counter`"),
    ("fields = { a = { type = \"text\", strategy = \"monotone\", order = [\"x\"] } }", 0, "needs type `choice`"),
    ("fields = { a = { type = \"choice\", choices = [\"x\"], strategy = \"monotone\" } }", 0, "needs `order`"),
    (
        "fields = { a = { type = \"choice\", choices = [\"x\", \"y\"], strategy = \"monotone\", order = [\"x\"] } }",
        0,
        "every choice of the field once",
    ),
    ("fields = { a = { type = \"choice\", choices = [\"x\"], order = [\"x\"] } }", 0, "this belongs to a `strategy`"),
    (
        "fields = { a = { type = \"choice\", choices = [\"x\"], strategy = \"max\", order = [\"x\"] } }",
        0,
        "`order` has no meaning for the strategy `max`",
    ),
    (
        "[entities.e.fields.a]\ntype = \"choice\"\nchoices = [\"x\", \"y\"]\nstrategy = \"state-machine\"\n[entities.e.fields.a.transitions]\nx = [\"y\"]\ny = [\"z\"]",
        6,
        "unknown state `z`",
    ),
    // groups
    (
        "fields = { a = { type = \"text\" } }\ngroups = { g = { fields = [\"a\"] } }",
        1,
        "a group needs at least two fields",
    ),
    ("fields = { a = { type = \"text\" } }\ngroups = { g = { fields = [\"a\", \"b\"] } }", 1, "unknown field `b`"),
    (
        "fields = { a = { type = \"text\" }, b = { type = \"text\" } }\ngroups = { a = { fields = [\"a\", \"b\"] } }",
        1,
        "already the name of a field",
    ),
    (
        "fields = { a = { type = \"text\" }, b = { type = \"text\" } }\n[entities.e.groups]\ng = { fields = [\"a\", \"b\"] }\nh = { fields = [\"a\", \"b\"] }",
        3,
        "already in group `g`",
    ),
    (
        "fields = { a = { type = \"text\", strategy = \"manual-review\" }, b = { type = \"text\" } }\ngroups = { g = { fields = [\"a\", \"b\"] } }",
        1,
        "`a` declares a strategy of its own",
    ),
    (
        "fields = { a = { type = \"integer\" }, b = { type = \"integer\" } }\ngroups = { g = { fields = [\"a\", \"b\"], strategy = \"max\" } }",
        1,
        "a group of fields is decided as a whole",
    ),
    (
        "fields = { a = { type = \"counter\" }, b = { type = \"text\" } }\ngroups = { g = { fields = [\"a\", \"b\"] } }",
        1,
        "take it out of the group",
    ),
    (
        "fields = { a = { type = \"text\", server_only = true }, b = { type = \"text\" } }\ngroups = { g = { fields = [\"a\", \"b\"] } }",
        1,
        "or none is",
    ),
    // uniqueness and ids
    (
        "fields = { a = { type = \"text\" } }\n[[entities.e.unique]]\nname = \"u\"\nfields = []",
        3,
        "name at least one field",
    ),
    (
        "fields = { a = { type = \"json\" } }\n[[entities.e.unique]]\nname = \"u\"\nfields = [\"a\"]",
        3,
        "`a` cannot be compared",
    ),
    (
        "fields = { a = { type = \"uuid\" } }\n[[entities.e.unique]]\nname = \"u\"\nfields = [\"a\"]\ncase_folded = true",
        4,
        "none of the fields is text",
    ),
    (
        "fields = { a = { type = \"uuid\" } }\n[[entities.e.unique]]\nname = \"u\"\nfields = [\"a\"]\n[[entities.e.unique]]\nname = \"u\"\nfields = [\"a\"]",
        5,
        "`u` is declared twice",
    ),
    ("fields = {}\nid = [\"a\"]", 1, "unknown field `a`"),
    // rules
    (
        "fields = {}\n[[entities.e.rules]]\nname = \"r\"\non = [\"upsert\"]\ncheck = \"true\"\nmessage = \"m\"",
        3,
        "unknown op `upsert`",
    ),
    (
        "fields = {}\n[[entities.e.rules]]\nname = \"r\"\non = []\ncheck = \"true\"\nmessage = \"m\"",
        3,
        "`on` needs at least one of",
    ),
    (
        "fields = {}\n[[entities.e.rules]]\nname = \"r\"\non = [\"create\"]\ncheck = \"1 +\"\nmessage = \"m\"",
        4,
        "not a valid expression",
    ),
    (
        "fields = {}\n[[entities.e.rules]]\nname = \"r\"\non = [\"create\"]\ncheck = \"new.a == 1\"\nmessage = \"m\"",
        4,
        "unknown field `new.a`",
    ),
    (
        "fields = {}\n[[entities.e.rules]]\nname = \"r\"\non = [\"create\"]\ncheck = \"old == null\"\nmessage = \"m\"",
        4,
        "`old` stands alone; name a field",
    ),
    (
        "fields = {}\n[[entities.e.rules]]\nname = \"r\"\non = [\"create\"]\ncheck = \"rnak > 1\"\nmessage = \"m\"",
        4,
        "unknown variable `rnak`; did you mean `rank`?",
    ),
    (
        "fields = {}\n[[entities.e.rules]]\nname = \"r\"\non = [\"create\"]\ncheck = \"today() == 1\"\nmessage = \"m\"",
        4,
        "unknown function `today`",
    ),
    (
        "fields = { a = { type = \"text\" } }\n[[entities.e.rules]]\nname = \"r\"\non = [\"create\"]\ncheck = \"has(new.a)\"\nmessage = \"m\"",
        4,
        "write `new.a != null`",
    ),
    (
        "fields = { a = { type = \"text\" } }\n[[entities.e.rules]]\nname = \"r\"\non = [\"create\"]\ncheck = \"new.a.matches('(')\"\nmessage = \"m\"",
        4,
        "bad regular expression",
    ),
    (
        "fields = {}\n[[entities.e.rules]]\nname = \"r\"\non = [\"create\"]\ncheck = \"true\"\nmessage = \" \"",
        5,
        "say in `message` what a person must do",
    ),
];

/// As above, for the line of the scope.
const SCOPE_MISTAKES: &[(&str, &str, &str)] = &[
    ("[]", "", "write `scope = [\"workspace\"]`"),
    ("[\"everyone\"]", "", "unknown scope rule `everyone`; use `workspace`, `team(field)`"),
    ("[\"owner(a)\", \"workspace\"]", "", "unknown field `a`"),
    ("[\"owner(a)\", \"workspace\"]", "a = { type = \"text\" }", "must be a uuid field that references `users`"),
    (
        "[\"owner(a)\", \"workspace\"]",
        "a = { type = \"uuid\", references = \"e\" }",
        "must be a uuid field that references `users`",
    ),
    ("[\"team(a)\", \"workspace\"]", "a = { type = \"uuid\" }", "must be a uuid field that references `teams`"),
    ("[\"workspace\", \"workspace\"]", "", "`workspace` always decides; put it last"),
    ("[\"owner(a)\"]", "a = { type = \"uuid\" }", "where does a record without `a` live? add `workspace` last"),
    ("[\"inherit(a)\"]", "a = { type = \"uuid\" }", "must be a uuid field that references an entity"),
    ("[\"inherit(a)\"]", "a = { type = \"uuid\", references = \"f\" }", "`a` can be empty"),
    (
        "[\"inherit(a)\", \"workspace\"]",
        "a = { type = \"uuid\", references = \"e\" }",
        "`e` inherits its scope from itself",
    ),
    (
        "[\"inherit(a)\", \"workspace\"]",
        "a = { type = \"uuid\", references = \"f\" }",
        "inherits its scope from itself",
    ),
];

#[test]
fn sch_1_every_mistake_is_refused_with_its_line_and_what_to_do() {
    for (lines, wrong, expected) in MISTAKES {
        let error = Schema::parse(&around(lines), "schema/x.toml").expect_err(lines);
        assert!(error.message.contains(expected), "{lines}\n  said: {}\n  not: {expected}", error.message);
        assert_eq!(error.line, FIRST + wrong, "{lines}\n  {error}");
    }
}

#[test]
fn sch_1_a_scope_that_cannot_be_computed_is_refused() {
    for (scope, field, expected) in SCOPE_MISTAKES {
        let text = format!(
            "version = 1\nroles = {{ agent = 30 }}\n[entities.e]\nscope = {scope}\ntier = \"normal\"\ncreate = \"server\"\n\
             update = \"server\"\ndelete = \"server\"\nfields = {{ {field} }}\n\
             [entities.f]\nscope = [\"inherit(e)\", \"workspace\"]\ntier = \"normal\"\ncreate = \"server\"\nupdate = \"server\"\n\
             delete = \"server\"\nfields = {{ e = {{ type = \"uuid\", references = \"e\" }} }}\n"
        );
        let error = Schema::parse(&text, "x").expect_err(scope);
        assert!(error.message.contains(expected), "{scope} {field}\n  said: {}\n  not: {expected}", error.message);
        assert_eq!(error.line, 4, "{error}");
    }
}

#[test]
fn sch_1_who_may_write_is_said_once_and_by_known_roles() {
    let table = [
        ("update = \"agent\"", "update = \"agent\"\ninsert_only = true", 9, "an insert-only entity is never updated"),
        ("update = \"agent\"\n", "", 5, "entity `e` needs `update`"),
        ("delete = \"admin\"", "delete = \"boss\"", 10, "unknown role `boss`; use one of admin, agent"),
        ("admin = 50", "admin = 101", 3, "`admin` must be a whole number from 1 to 100"),
        ("tier = \"normal\"", "tier = \"high\"", 6, "unknown tier `high`; use one of critical, important"),
    ];
    for (declared, wrong, line, expected) in table {
        let error = Schema::parse(&around("fields = {}").replace(declared, wrong), "x").expect_err(wrong);
        assert!(error.message.contains(expected) && error.line == line, "{error}");
    }
}

#[test]
fn sch_1_the_error_reads_as_a_place_and_an_advice() {
    let text = around("fields = { a = { type = \"text\", strategy = \"last-writer\" } }");
    let error = Schema::parse(&text, "schema/crm.toml").unwrap_err();
    let shown = error.to_string();
    assert!(shown.starts_with("schema/crm.toml:11: unknown strategy `last-writer`"), "{shown}");
    assert!(shown.contains("use one of last-write-wins, merge-fields"), "{shown}");
}

#[test]
fn sch_1_text_that_is_not_toml_is_refused_with_its_line() {
    for (text, line) in [("version = 1\nversion = 2", 2), ("version = ", 1), ("version = 1\n\n[roles", 3), ("\u{0}", 1)]
    {
        let error = Schema::parse(text, "x").unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.message.starts_with("not valid TOML: "), "{error}");
    }
    for text in
        ["", "version = 1", "version = 0\nroles = {a=1}\nentities = {}", "version = 1\nroles = {}\nentities = {}"]
    {
        assert!(Schema::parse(text, "x").is_err(), "{text}");
    }
}

#[test]
fn sch_2_the_hash_depends_on_the_meaning_alone() {
    let hash = |text: &str| Schema::parse(text, "x").unwrap().hash;
    let plain = around("fields = { a = { type = \"text\", max_len = 5 }, b = { type = \"date\" } }");
    let other = around(
        "# a comment\n[entities.e.fields]\nb = { type = 'date' }\n[entities.e.fields.a]\nmax_len = 5\ntype = \"text\"",
    );
    assert_eq!(hash(&plain), hash(&other));
    assert_ne!(hash(&plain), hash(&plain.replace("max_len = 5", "max_len = 6")));
    assert!(hash(&plain).bytes().all(|byte| byte.is_ascii_hexdigit()) && hash(&plain).len() == 16);
}
