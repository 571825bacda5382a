//! Documentation that must stay true.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

const MAP: &str = "ARCHITECTURE.md";
const README: &str = "README.md";
const XTASK: &str = "xtask/src/main.rs";

/// Every top-level folder and every crate has its line in the code map.
pub fn folders_are_mapped(tree: &Tree) -> Vec<Finding> {
    let crates = tree.folders_of("crates").into_iter().map(|name| format!("crates/{name}/"));
    let top = tree.folders_of("").into_iter().filter(|name| !name.starts_with('.')).map(|name| format!("{name}/"));
    let unnamed = top.chain(crates).filter(|folder| !tree.text(MAP).contains(folder.as_str()));
    let finding = |folder: String| Finding::new(MAP, 0, format!("`{folder}` is not in the code map"), "add its line");
    unnamed.map(finding).collect()
}

/// Crates and the folders beside them say in five points what they are.
pub fn folders_have_readmes(tree: &Tree) -> Vec<Finding> {
    let crates = tree.folders_of("crates").into_iter().map(|name| format!("crates/{name}"));
    let others = ["spec", "schema", "xtask", "examples", "bench"].into_iter().filter(|name| tree.has(name));
    let readmes = crates.chain(others.map(str::to_owned)).map(|folder| format!("{folder}/README.md"));
    let remedy = "say what it is, what it is not, where to start reading, its invariants, how to test it alone";
    let missing = readmes.filter(|readme| !tree.files.contains_key(readme));
    missing.map(|readme| Finding::new(&readme, 0, "there is no README", remedy)).collect()
}

/// Each numbered invariant names, after `Enforced by`, tests that exist; one that is only designed says `Not built yet`.
pub fn invariants_name_tests(tree: &Tree) -> Vec<Finding> {
    let functions: BTreeSet<&str> = tree.function_names().collect();
    let mut findings = Vec::new();
    for (line, text) in invariants(tree.text(MAP)) {
        if text.contains("Not built yet") {
            continue;
        }
        let named = text.split_once("Enforced by").map_or("", |(_, names)| names);
        let names: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            let remedy = "write `Enforced by` and the names of its tests";
            findings.push(Finding::new(MAP, line, "an invariant names no test", remedy));
        }
        for name in names.into_iter().filter(|name| !functions.contains(name)) {
            let what = format!("there is no test `{name}`");
            findings.push(Finding::new(MAP, line, what, "name the test that enforces the invariant"));
        }
    }
    if findings.is_empty() && invariants(tree.text(MAP)).is_empty() {
        findings.push(Finding::new(MAP, 0, "no section `## Invariants` with a numbered list", "write it"));
    }
    findings
}

/// The items of the numbered list under `## Invariants`, each with its first line's number.
fn invariants(text: &str) -> Vec<(usize, String)> {
    let mut items: Vec<(usize, String)> = Vec::new();
    let lines = text.lines().enumerate().skip_while(|(_, line)| *line != "## Invariants").skip(1);
    for (index, line) in lines.take_while(|(_, line)| !line.starts_with("## ")) {
        let is_item = line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        if is_item {
            items.push((index + 1, line.to_owned()));
        } else if let Some((_, item)) = items.last_mut() {
            item.push(' ');
            item.push_str(line.trim());
        }
    }
    items
}

/// Every relative link of every Markdown file leads to a file or folder of the repository.
pub fn links_resolve(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_extension("md") {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, target) in prose(text).flat_map(|(line, text)| links(text).map(move |target| (line, target))) {
            let file = target.split('#').next().unwrap_or_default();
            let is_elsewhere = target.contains("://") || target.starts_with("mailto:") || file.is_empty();
            if !is_elsewhere && !tree.has(&resolve(folder, file)) {
                let what = format!("the link `{target}` leads nowhere");
                findings.push(Finding::new(path, line, what, "name a file of the repository"));
            }
        }
    }
    findings
}

/// Lines outside fenced blocks, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        (!is_fenced && !is_fence).then_some((index + 1, line))
    })
}

/// Targets of `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// Commands in the README are commands of `cargo xtask` and of `syncline`.
pub fn commands_exist(tree: &Tree) -> Vec<Finding> {
    let tasks = variants(tree.text(XTASK));
    let cli = tree.with_extension("rs").filter(|(path, _)| path.starts_with("crates/cli/src/"));
    let commands: BTreeSet<String> = cli.flat_map(|(_, text)| variants(text)).collect();
    let mut findings = Vec::new();
    for (index, line) in tree.text(README).lines().enumerate() {
        for (program, known) in [("cargo xtask ", &tasks), ("syncline ", &commands)] {
            for rest in line.match_indices(program).map(|(start, _)| &line[start + program.len()..]) {
                let is_command =
                    line.contains('`') || line.starts_with(program) || line.contains(&format!("$ {program}"));
                let word: &str = rest.split(|c: char| c != '-' && !c.is_ascii_lowercase()).next().unwrap_or_default();
                if is_command && !word.is_empty() && !word.starts_with('-') && !known.contains(word) {
                    let what = format!("there is no command `{program}{word}`");
                    findings.push(Finding::new(README, index + 1, what, "write a command that exists"));
                }
            }
        }
    }
    findings
}

/// Names of enum variants as clap writes them: `BackUp` is `back-up`.
fn variants(source: &str) -> BTreeSet<String> {
    let variant = |line: &str| {
        let line = line.trim();
        let end = line.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let is_variant = name.starts_with(|c: char| c.is_ascii_uppercase()) && rest.starts_with([',', '(', ' ']);
        is_variant.then(|| kebab(name))
    };
    source.lines().filter_map(variant).collect()
}

fn kebab(name: &str) -> String {
    let mut kebab = String::with_capacity(name.len() + 2);
    for (index, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}
