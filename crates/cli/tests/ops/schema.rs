use std::path::Path;
use std::process::Command;

use crate::{Place, answer};

const SHOP: &str = r#"
version = 3
roles = { owner = 50, clerk = 10 }

[entities.orders]
tier = "normal"
scope = ["workspace"]
title = "name"
create = "clerk"
update = "clerk"
delete = "owner"
[entities.orders.fields]
name = { type = "text", required = true, format = "not_blank" }
state = { type = "choice", choices = ["open", "paid"], default = "open" }
labels = { type = "set", items = "text" }
total = { type = "decimal", precision = 12, scale = 2, server_only = true }
placed_at = { type = "timestamp", stamp = "created", server_only = true }
"#;

fn schema(args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_syncline")).arg("schema").args(args).output().unwrap()
}

#[test]
fn sdk_1_the_types_in_the_package_are_those_of_the_built_in_schema() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packages/sdk/src/crm");
    let checked = schema(&["types", "--check", "--import", "../index.ts", "--out", folder.to_str().unwrap()]);
    assert!(checked.status.success(), "run `npm run generate` in packages/sdk: {checked:?}");
}

#[test]
fn sdk_1_an_own_declaration_becomes_types_and_says_what_is_wrong_with_it() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let file = place.file("shop.toml", SHOP);
    let (file, out) = (file.to_str().unwrap(), place.dir.path().join("made/here"));
    let out = out.to_str().unwrap();
    let checked = |more: &[&str]| schema(&[&["types", file, "--name", "shop", "--out", out], more].concat());
    assert!(!checked(&["--check"]).status.success(), "there is nothing yet");
    assert!(checked(&[]).status.success());
    assert!(checked(&["--check"]).status.success());
    let types = std::fs::read_to_string(format!("{out}/types.ts")).unwrap();
    for line in [
        "export interface ShopEntities {",
        "  orders: { record: Order; create: OrderCreate; update: OrderUpdate };",
        "  name: string;",
        "  state?: \"open\" | \"paid\" | null;",
        "  labels?: readonly string[] | { add?: readonly string[]; remove?: readonly string[] } | null;",
    ] {
        assert!(types.lines().any(|each| each == line), "{line} is missing in {types}");
    }
    let (_, writes) = types.split_once("export interface OrderCreate").unwrap();
    assert!(!writes.contains("total") && !writes.contains("placed_at"), "the server writes these: {writes}");
    let declaration = std::fs::read_to_string(format!("{out}/schema.ts")).unwrap();
    assert!(declaration.contains("export const shopSchema: SchemaDeclaration = {\n  \"version\": 3,"), "{declaration}");
    assert!(!declaration.contains("\"stamp\""), "only the server reads it: {declaration}");
    let (code, found) = answer(&schema(&["check", file, "--json"]));
    assert_eq!((code, &found["entities"], &found["fields"]), (0, &serde_json::json!(["orders"]), &5.into()));
    assert!(declaration.contains(found["hash"].as_str().unwrap()));
    let wrong = place.file("wrong.toml", SHOP.replace("type = \"set\"", "type = \"sett\""));
    let refused = schema(&["check", wrong.to_str().unwrap()]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && text.contains("wrong.toml:15") && text.contains("set"), "{text}");
}
