//! The repository's text files, read once.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

/// Folders that hold nothing of ours.
const IGNORED: &[&str] = &["target", "data", "node_modules", "__pycache__", "mutants.out"];
/// What is read. Everything else is only known to exist.
const TEXTS: &[&str] = &["rs", "md", "toml", "json", "py"];

/// Every file by its path relative to the top, with `/`; the text of those in [`TEXTS`], otherwise empty.
pub struct Tree {
    pub files: BTreeMap<String, String>,
}

impl Tree {
    pub fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        read_folder(root, "", &mut files)?;
        Ok(Self { files })
    }

    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    /// A file's text; empty when it is not there.
    pub fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    /// Files whose name ends in `.` and `extension`.
    pub fn with_extension<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let is_of = move |path: &str| path.rsplit_once('.').is_some_and(|(_, of)| of == extension);
        self.files.iter().filter(move |(path, _)| is_of(path)).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Whether a file or folder of this path exists; `""` is the top folder.
    pub fn has(&self, path: &str) -> bool {
        if path.is_empty() {
            return true;
        }
        let folder = format!("{path}/");
        let next = self.files.range(folder.clone()..).next();
        self.files.contains_key(path) || next.is_some_and(|(first, _)| first.starts_with(&folder))
    }

    /// Names of the folders directly under `folder` (`""`: the top).
    pub fn folders_of(&self, folder: &str) -> Vec<&str> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let below = self.files.keys().filter_map(|path| path.strip_prefix(&prefix)?.split_once('/'));
        let mut names: Vec<&str> = below.map(|(name, _)| name).collect();
        names.dedup();
        names
    }

    /// Names of all Rust and Python functions that are tests or cases of a contract suite. What is not called like a
    /// test does no harm here.
    pub fn function_names(&self) -> impl Iterator<Item = &str> {
        let rust = self.with_extension("rs").map(|file| (file, "fn "));
        let python = self.with_extension("py").map(|file| (file, "def "));
        rust.chain(python).flat_map(|((_, text), keyword)| text.lines().filter_map(move |line| name_in(line, keyword)))
    }
}

/// The name that a line defines after `keyword`.
fn name_in<'t>(line: &'t str, keyword: &str) -> Option<&'t str> {
    let line = line.trim_start();
    let start = line.find(keyword)?;
    let before = &line[..start];
    let is_definition = before.is_empty() || before.ends_with(' ') && !before.starts_with("//");
    let rest = &line[start + keyword.len()..];
    let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    (is_definition && end > 0).then(|| &rest[..end])
}

fn read_folder(root: &Path, relative: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    let folder = root.join(relative);
    let entries = std::fs::read_dir(&folder).with_context(|| format!("{} cannot be listed", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("{} cannot be listed", folder.display()))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
        if is_hidden || IGNORED.contains(&name.as_str()) {
            continue;
        }
        let path = if relative.is_empty() { name } else { format!("{relative}/{name}") };
        if entry.file_type()?.is_dir() {
            read_folder(root, &path, files)?;
            continue;
        }
        let is_text = path.rsplit_once('.').is_some_and(|(_, extension)| TEXTS.contains(&extension));
        let text = match is_text {
            true => std::fs::read_to_string(entry.path()).with_context(|| format!("{path} cannot be read"))?,
            false => String::new(),
        };
        files.insert(path, text);
    }
    Ok(())
}
