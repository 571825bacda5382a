//! House rules that a program can check. Each finding says where, what, and what to do about it.

mod config;
mod docs;
mod sources;
mod spec;
mod tree;

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use tree::Tree;

/// Something that is not as the house wants it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Finding {
    /// Relative to the top of the repository, with `/`.
    path: String,
    /// From 1; 0 when it is about the whole file.
    line: usize,
    what: String,
    /// What to do.
    remedy: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), remedy: remedy.into() }
    }
}

/// Prints every finding under `root`; an error when there is one.
pub fn report(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    let findings = check(&tree);
    for Finding { path, line, what, remedy } in &findings {
        println!("{path}:{}: {what}; {remedy}", (*line).max(1));
    }
    match findings.len() {
        0 => {
            println!("tidy: {} files, nothing to put right", tree.files.len());
            Ok(())
        }
        1 => bail!("tidy found 1 thing to put right"),
        count => bail!("tidy found {count} things to put right"),
    }
}

/// Writes `docs/CONFIG.md`.
pub fn write_config(root: &Path) -> Result<()> {
    let page = config::render(&Tree::read(root)?);
    std::fs::write(root.join(config::PATH), page).with_context(|| format!("{} cannot be written", config::PATH))
}

fn check(tree: &Tree) -> Vec<Finding> {
    let checks = [
        config::is_current,
        sources::sizes,
        sources::leftovers,
        sources::core_dependencies,
        spec::rules_have_tests,
        spec::codes_are_listed,
        docs::folders_are_mapped,
        docs::folders_have_readmes,
        docs::invariants_name_tests,
        docs::links_resolve,
        docs::commands_exist,
    ];
    let mut findings: Vec<Finding> = checks.iter().flat_map(|check| check(tree)).collect();
    findings.sort();
    findings
}

#[cfg(test)]
mod tests;
