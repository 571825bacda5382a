//! Each rule finds what it is for, and leaves alone what is right.

use super::tree::Tree;
use super::{Finding, config, docs, sources, spec};

fn whats(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.what.as_str()).collect()
}

#[test]
fn core_depends_on_nothing_outside_its_allow_list() {
    let ours = Tree::of(&[("crates/core/Cargo.toml", include_str!("../../../crates/core/Cargo.toml"))]);
    assert_eq!(sources::core_dependencies(&ours), []);
    let text = "[dependencies]\nserde.workspace = true\ntokio = \"1\"\n[dev-dependencies]\nproptest = \"1\"\n";
    let bad = Tree::of(&[("crates/core/Cargo.toml", text)]);
    assert_eq!(whats(&sources::core_dependencies(&bad)), ["core may not depend on `tokio`"]);
}

#[test]
fn a_rule_needs_a_test_that_cites_it() {
    let rules = "- **PSH-3** once\n- **PSH-30** more\n- **VAL-1** form\n- **OUT-2** left\n- **not a rule**\n";
    let tests = "    fn psh_3_replay() {}\nasync fn what_val_1_says() {}\n// fn out_2_comment\n";
    let tree = Tree::of(&[("spec/PROTOCOL.md", rules), ("crates/a/tests/a.rs", tests)]);
    let findings = spec::rules_have_tests(&tree);
    assert_eq!(whats(&findings), ["no test cites PSH-30", "no test cites OUT-2"]);
    assert_eq!(findings[1].line, 4);
}

#[test]
fn codes_and_their_table_agree_both_ways() {
    let source = "    Rule = \"rule\", Rejected, 422;\n    Gone = \"gone\", Rejected, 410;\n    Draining = 4400,\n";
    let right = "| `rule` | rejected | 422 | x |\n| `gone` | rejected | 410 | x |\n| 4400 | `Draining` | x |\n";
    let wrong = "| `rule` | fatal | 422 | x |\n| `odd` | rejected | 410 | x |\n| 4401 | `Draining` | x |\n";
    let tree = |table| Tree::of(&[("spec/CODES.md", table), ("crates/core/src/protocol/codes.rs", source)]);
    assert_eq!(spec::codes_are_listed(&tree(right)), []);
    let expected = [
        "`Draining` is close 4401, in the source close 4400",
        "spec/CODES.md does not list `gone`",
        "the source has no code `odd`",
        "`rule` is fatal 422, in the source rejected 422",
    ];
    assert_eq!(whats(&spec::codes_are_listed(&tree(wrong))), expected);
}

#[test]
fn an_invariant_names_tests_that_exist() {
    let map = "## Invariants\n\n1. One. Enforced by `a_test`.\n2. Two,\n   long. Enforced by `gone`.\n3. Three.\n\
               4. Four. Not built yet.\n\n## Limits\n1. no\n";
    let tree = Tree::of(&[("ARCHITECTURE.md", map), ("crates/a/src/a.rs", "#[test]\nfn a_test() {}\n")]);
    let findings = docs::invariants_name_tests(&tree);
    assert_eq!(whats(&findings), ["there is no test `gone`", "an invariant names no test"]);
    assert_eq!((findings[0].line, findings[1].line), (4, 6));
}

#[test]
fn links_lead_somewhere() {
    let text = "[a](../spec/CODES.md#x) [b](gone.md) [c](https://example.com) [d](#here) [e](..)\n```\n[f](no)\n```\n";
    let tree = Tree::of(&[("docs/a.md", text), ("spec/CODES.md", "")]);
    assert_eq!(whats(&docs::links_resolve(&tree)), ["the link `gone.md` leads nowhere"]);
}

#[test]
fn readme_commands_exist() {
    let readme = "cargo xtask run\n`cargo xtask fly`\nsyncline serve --demo\n$ syncline sing\nThe syncline server.\n";
    let files =
        [("README.md", readme), ("xtask/src/main.rs", "    Run {\n"), ("crates/cli/src/main.rs", "    Serve(Args),\n")];
    let findings = docs::commands_exist(&Tree::of(&files));
    assert_eq!(whats(&findings), ["there is no command `cargo xtask fly`", "there is no command `syncline sing`"]);
}

#[test]
fn long_files_and_leftovers_are_found() {
    let long = "x\n".repeat(801);
    let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(800), "y\n".repeat(500));
    let debugging = concat!("fn a() { db", "g!(1); }\n");
    let bare = "fn a() { b.unwrap(); }\n// .unwrap()\n#[cfg(test)]\nmod tests {\n  a.unwrap();\n}\n";
    let tree = Tree::of(&[
        ("crates/core/src/bare.rs", bare),
        ("crates/core/tests/long.rs", &long),
        ("crates/x/src/debugging.rs", debugging),
        ("crates/x/src/long.rs", &long),
        ("crates/x/src/tested.rs", &tested),
    ]);
    assert_eq!(whats(&sources::sizes(&tree)), ["801 lines without tests, 800 is the most"]);
    let found = sources::leftovers(&tree);
    assert_eq!(whats(&found), ["`.unwrap()` outside tests", concat!("`db", "g!(`")]);
}

#[test]
fn the_configuration_page_is_written_from_the_source() {
    let source = "//! Section `log`: what is written.\n/// A section.\npub struct LogConfig {\n    /// Level, or\n    /// more. `LOG`.\n    \
                  #[serde(skip)]\n    pub level: String,\n}\nimpl LogConfig {\n    /// Not a setting.\n    pub fn a() -> A {}\n}\n";
    let page = config::render(&Tree::of(&[("crates/server/src/config/log.rs", source)]));
    assert!(page.ends_with("## `[log]`: what is written.\n\n| setting | what it does |\n|---|---|\n| `level` | Level, or more. `LOG`. |\n"), "{page}");
}
