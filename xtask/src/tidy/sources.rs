//! Rules about source files.

use super::Finding;
use super::tree::Tree;

/// Lines of a source file, its tests apart. More: split it.
const LINES_MAX: usize = 800;
/// Crates `core` may use: nothing that does I/O, reads a clock or draws randomness (invariant 1).
const CORE_ALLOWED: &[&str] =
    &["cel", "jiff", "serde", "serde_json", "sha2", "smol_str", "thiserror", "toml_edit", "uuid", "regex"];

/// What never ships, with what to do instead. Written in halves, so that this file does not find itself.
const LEFTOVERS: &[(&str, &str)] = &[
    (concat!("to", "do!("), "write it or take it out"),
    (concat!("unimpl", "emented!("), "write it or take it out"),
    (concat!("db", "g!("), "take the debugging out"),
    (concat!("TO", "DO"), "do it, or say in the documentation what is not there"),
    (concat!("FIX", "ME"), "fix it"),
    (concat!("#[ig", "nore"), "a test runs or is not there"),
];

/// A test file, or a suite that only tests call.
fn is_test(path: &str) -> bool {
    let is_suite = |part: &str| matches!(part, "tests" | "tests.rs" | "contract" | "contract.rs" | "examples");
    path.split('/').any(is_suite)
}

/// The lines before the tests at the end of a file, numbered from 1.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().collect::<Vec<_>>();
    let is_start = |pair: &[&str]| pair[0].trim() == "#[cfg(test)]" && pair[1].trim_end().ends_with('{');
    let tests = lines.windows(2).position(is_start).unwrap_or(lines.len());
    lines.into_iter().take(tests).enumerate().map(|(index, line)| (index + 1, line))
}

pub fn sizes(tree: &Tree) -> Vec<Finding> {
    let sources = tree.with_extension("rs").filter(|(path, _)| !is_test(path));
    let too_long = sources.filter_map(|(path, text)| {
        let count = code_lines(text).count();
        let what = format!("{count} lines without tests, {LINES_MAX} is the most");
        (count > LINES_MAX).then(|| Finding::new(path, LINES_MAX + 1, what, "split the file by concern"))
    });
    too_long.collect()
}

pub fn leftovers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_extension("rs").chain(tree.with_extension("py")) {
        for (index, line) in text.lines().enumerate() {
            for (leftover, remedy) in LEFTOVERS.iter().filter(|(leftover, _)| line.contains(leftover)) {
                findings.push(Finding::new(path, index + 1, format!("`{leftover}`"), *remedy));
            }
        }
        if path.starts_with("crates/core/src/") && !is_test(path) {
            let bare =
                code_lines(text).filter(|(_, line)| line.contains(".unwrap()") && !line.trim().starts_with("//"));
            let remedy = "handle it, or `expect` with the reason why it cannot happen";
            findings.extend(bare.map(|(line, _)| Finding::new(path, line, "`.unwrap()` outside tests", remedy)));
        }
    }
    findings
}

pub fn core_dependencies(tree: &Tree) -> Vec<Finding> {
    const PATH: &str = "crates/core/Cargo.toml";
    let mut findings = Vec::new();
    let mut is_dependency = false;
    for (index, line) in tree.text(PATH).lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            is_dependency = line == "[dependencies]";
            continue;
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if is_dependency && !name.is_empty() && !name.starts_with('#') && !CORE_ALLOWED.contains(&name) {
            let remedy = "keep it outside of core, or argue for it in docs/adr and add it to the list in xtask";
            findings.push(Finding::new(PATH, index + 1, format!("core may not depend on `{name}`"), remedy));
        }
    }
    findings
}
