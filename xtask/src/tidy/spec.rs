//! The spec and what must agree with it.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::tree::Tree;

const PROTOCOL: &str = "spec/PROTOCOL.md";
const CODES_MD: &str = "spec/CODES.md";
const CODES_RS: &str = "crates/core/src/protocol/codes.rs";

/// Every rule `- **ABC-1** …` is cited by the name of at least one test (`abc_1_…` or `…_abc_1_…`).
pub fn rules_have_tests(tree: &Tree) -> Vec<Finding> {
    let names: Vec<Vec<&str>> = tree.function_names().map(|name| name.split('_').collect()).collect();
    let is_cited = |rule: &str| {
        let rule = rule.to_ascii_lowercase();
        let Some((area, number)) = rule.split_once('-') else { return false };
        names.iter().any(|parts| parts.windows(2).any(|pair| pair == [area, number]))
    };
    let rules = tree.text(PROTOCOL).lines().enumerate().filter_map(|(index, line)| Some((index + 1, rule_of(line)?)));
    let uncited = rules.filter(|(_, rule)| !is_cited(rule));
    let finding = |(line, rule): (usize, &str)| {
        let remedy = format!("name the test that proves it `{}_…`", rule.to_ascii_lowercase().replace('-', "_"));
        Finding::new(PROTOCOL, line, format!("no test cites {rule}"), remedy)
    };
    uncited.map(finding).collect()
}

fn rule_of(line: &str) -> Option<&str> {
    let (rule, _) = line.strip_prefix("- **")?.split_once("**")?;
    let (area, number) = rule.split_once('-')?;
    let is_rule = area.bytes().all(|b| b.is_ascii_uppercase()) && number.bytes().all(|b| b.is_ascii_digit());
    is_rule.then_some(rule)
}

/// Codes, classes and statuses stand in `CODES.md` as they do in the source; so do the close codes.
pub fn codes_are_listed(tree: &Tree) -> Vec<Finding> {
    let (written, declared) = (codes_of_table(tree.text(CODES_MD)), codes_of_source(tree.text(CODES_RS)));
    let mut findings = Vec::new();
    for name in written.keys().chain(declared.keys()).collect::<BTreeSet<_>>() {
        match (written.get(name), declared.get(name)) {
            (Some(written), Some(declared)) if written.1 != declared.1 => {
                let what = format!("`{name}` is {}, in the source {}", written.1, declared.1);
                findings.push(Finding::new(CODES_MD, written.0, what, "make the table agree"));
            }
            (None, Some(declared)) => {
                let what = format!("{CODES_MD} does not list `{name}`");
                findings.push(Finding::new(CODES_RS, declared.0, what, "add a row with class, status and meaning"));
            }
            (Some(written), None) => {
                let what = format!("the source has no code `{name}`");
                findings.push(Finding::new(CODES_MD, written.0, what, "take the row out"));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    findings
}

type Codes = BTreeMap<String, (usize, String)>;

/// Rows `| `code` | class | 503 | …` and `| 4400 | `Name` | …`.
fn codes_of_table(text: &str) -> Codes {
    let row = |(index, line): (usize, &str)| {
        let cells: Vec<&str> = line.trim().strip_prefix('|')?.split('|').map(str::trim).collect();
        let code = |cell: &str| Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_owned());
        match (code(cells.first()?), cells[0].parse::<u16>()) {
            (Some(name), _) => {
                let status: u16 = cells.get(2)?.parse().ok()?;
                Some((name, (index + 1, format!("{} {status}", cells[1]))))
            }
            (None, Ok(number)) => Some((code(cells.get(1)?)?, (index + 1, format!("close {number}")))),
            (None, Err(_)) => None,
        }
    };
    text.lines().enumerate().filter_map(row).collect()
}

/// Lines `Name = "code", Class, 503;` and `Name = 4400,`.
fn codes_of_source(text: &str) -> Codes {
    let item = |(index, line): (usize, &str)| {
        let (name, rest) = line.trim().split_once(" = ")?;
        let is_name =
            name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
        let parts: Vec<&str> = rest.trim_end_matches([';', ',']).split(", ").collect();
        match parts.as_slice() {
            _ if !is_name => None,
            [code, class, status] => {
                let class = class.to_ascii_lowercase();
                Some((code.trim_matches('"').to_owned(), (index + 1, format!("{class} {status}"))))
            }
            [number] if number.parse::<u16>().is_ok() => {
                Some((name.to_owned(), (index + 1, format!("close {number}"))))
            }
            _ => None,
        }
    };
    text.lines().enumerate().filter_map(item).collect()
}
