//! `docs/CONFIG.md`, written from the structs that the server reads its configuration into.

use super::Finding;
use super::tree::Tree;

pub const PATH: &str = "docs/CONFIG.md";
const FOLDER: &str = "crates/server/src/config/";
/// Sections in the order of a configuration file.
const SECTIONS: &[&str] = &[
    "deployment",
    "http",
    "tls",
    "edge",
    "rates",
    "store",
    "sockets",
    "tokens",
    "supabase",
    "bus",
    "messages",
    "metrics",
    "audit",
    "analytics",
    "alerts",
    "webhooks",
    "log",
];

const HEAD: &str = "# Configuration

Written by `cargo xtask config` from `crates/server/src/config/`; change it there. `syncline serve --config FILE` reads a TOML file
with these sections. Environment variables, named at the end of their setting, win over the file; flags win over both. An
unknown key is an error, and so is a value out of its bounds.
";

pub fn is_current(tree: &Tree) -> Vec<Finding> {
    if tree.text(PATH) == render(tree) {
        return Vec::new();
    }
    vec![Finding::new(PATH, 0, "it does not agree with the server's configuration", "run `cargo xtask config`")]
}

pub fn render(tree: &Tree) -> String {
    let mut page = HEAD.to_owned();
    for section in SECTIONS {
        let source = tree.text(&format!("{FOLDER}{section}.rs"));
        let about = source.lines().next().and_then(|line| line.split_once("`: ")).map_or("", |(_, about)| about);
        page.push_str(&format!("\n## `[{section}]`: {about}\n\n| setting | what it does |\n|---|---|\n"));
        for (name, text) in settings(source) {
            page.push_str(&format!("| `{name}` | {text} |\n"));
        }
    }
    page
}

/// Public fields of the section's struct with their doc comments.
fn settings(source: &str) -> Vec<(&str, String)> {
    let mut settings = Vec::new();
    let mut text = String::new();
    let mut is_inside = false;
    for line in source.lines() {
        is_inside = line.ends_with("Config {") && line.starts_with("pub struct") || is_inside && line != "}";
        let line = line.trim();
        if let Some(more) = line.strip_prefix("/// ") {
            text = format!("{text} {more}").trim().to_owned();
        } else if let Some((name, _)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": ")) {
            if is_inside {
                settings.push((name, std::mem::take(&mut text)));
            }
        } else if !line.starts_with("#[") {
            text.clear();
        }
    }
    settings
}
