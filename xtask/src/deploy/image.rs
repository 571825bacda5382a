//! Whether the image could be built, as far as that can be told without building it: what `Dockerfile` copies is in its
//! context, and what the sources put into the program is copied.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::shell;

const DOCKERFILE: &str = "deploy/Dockerfile";
const IGNORE: &str = "deploy/Dockerfile.dockerignore";
/// Files that the sources name are looked for beneath these.
const SOURCES: &[&str] = &["bench", "crates", "xtask"];

pub fn check() -> Result<()> {
    let root = shell::root();
    let read = |path: &str| std::fs::read_to_string(root.join(path)).with_context(|| format!("reading {path}"));
    let context = Context::parse(&read(IGNORE)?)?;
    let copied = copied(&read(DOCKERFILE)?);
    ensure!(!copied.is_empty(), "{DOCKERFILE} copies nothing");
    for path in &copied {
        ensure!(root.join(path).exists(), "{DOCKERFILE} copies {path}, which is not there");
        ensure!(context.has(path), "{DOCKERFILE} copies {path}, which {IGNORE} keeps out");
    }
    for (source, file) in included(&root)? {
        let is_copied = copied.iter().any(|path| file.starts_with(path)) && context.has(&file.to_string_lossy());
        ensure!(is_copied, "{} includes {}, which {DOCKERFILE} does not copy", source.display(), file.display());
    }
    Ok(())
}

/// What is copied from the context: not what comes from another stage.
fn copied(dockerfile: &str) -> Vec<String> {
    let joined = dockerfile.replace("\\\n", " ");
    let copies = joined.lines().filter_map(|line| line.trim().strip_prefix("COPY "));
    let from_context = copies.filter(|rest| !rest.contains("--from="));
    let sources = from_context.flat_map(|rest| {
        let mut words: Vec<String> =
            rest.split_whitespace().filter(|word| !word.starts_with("--")).map(str::to_owned).collect();
        words.pop();
        words
    });
    sources.collect()
}

/// What an ignore file leaves of the repository. The last rule that fits a path, or a folder above it, decides.
struct Context {
    rules: Vec<(bool, Pattern)>,
}

/// The kinds of pattern that our file has.
enum Pattern {
    Everything,
    /// This path and what is beneath it.
    Path(String),
    /// Whatever has this name, wherever it is.
    Name(String),
}

impl Context {
    /// A pattern of another kind is an error: a check that misreads the file would be worse than none.
    fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let rule = |line: &str| {
            let (is_in, text) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
            let pattern = match text.strip_prefix("**") {
                Some("") => Pattern::Everything,
                Some(name) if is_plain(name.trim_start_matches('/')) && !name[1..].contains('/') => {
                    Pattern::Name(name[1..].to_owned())
                }
                None if is_plain(text) => Pattern::Path(text.to_owned()),
                Some(_) | None => bail!("{IGNORE}: this check does not know what {line} keeps out"),
            };
            Ok((is_in, pattern))
        };
        Ok(Self { rules: lines.map(rule).collect::<Result<_>>()? })
    }

    fn has(&self, path: &str) -> bool {
        let is_met = |pattern: &Pattern| match pattern {
            Pattern::Everything => true,
            Pattern::Path(above) => Path::new(path).starts_with(above),
            Pattern::Name(name) => Path::new(path).components().any(|part| part.as_os_str() == name.as_str()),
        };
        self.rules.iter().rev().find(|(_, pattern)| is_met(pattern)).is_none_or(|(is_in, _)| *is_in)
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(['*', '?', '[', '\\'])
}

/// Source files and the files they put into the program, tests apart.
fn included(root: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = SOURCES.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            let is_test = path.file_stem().is_some_and(|name| name == "tests");
            if path.is_dir() && !is_test {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
                let source = path.strip_prefix(root)?.to_owned();
                let named = names(&std::fs::read_to_string(&path)?);
                let beside = |name: String| resolve(&source.with_file_name(name));
                found.extend(named.into_iter().map(|name| (source.clone(), beside(name))));
            }
        }
    }
    Ok(found)
}

/// Arguments of the macros that include files, before the tests at the end of a source.
fn names(source: &str) -> Vec<String> {
    let code = source.split_once("#[cfg(test)]\nmod ").map_or(source, |(code, _)| code);
    let mut names = Vec::new();
    for call in ["include_str!(\"", "include_bytes!(\""] {
        let arguments = code.split(call).skip(1).filter_map(|rest| rest.split_once("\")"));
        names.extend(arguments.map(|(name, _)| name.to_owned()));
    }
    names
}

/// Without `..`, as the path stands in the repository.
fn resolve(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut resolved, part| {
        match part {
            Component::ParentDir => drop(resolved.pop()),
            Component::Normal(name) => resolved.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
        resolved
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_7_the_last_rule_that_fits_a_path_decides() {
        let context =
            Context::parse("**\n!apps/console\n!docs/CONFIG.md\n**/node_modules\napps/console/dist\n").unwrap();
        for (path, is_in) in [
            ("apps/console", true),
            ("apps/console/src/main.tsx", true),
            ("apps/console/node_modules/react", false),
            ("apps/console/dist/index.html", false),
            ("apps/extension", false),
            ("docs/CONFIG.md", true),
            ("docs/IMPORT.md", false),
            ("README.md", false),
        ] {
            assert_eq!(context.has(path), is_in, "{path}");
        }
        assert!(Context::parse("*.md").is_err(), "a pattern it does not know is not passed over");
    }

    #[test]
    fn ops_7_what_is_copied_from_another_stage_need_not_be_here() {
        let text = "COPY a b ./\nCOPY --from=x /c c\n COPY --chown=1 d \\\n  e\n";
        assert_eq!(copied(text), ["a", "b", "d"]);
    }

    #[test]
    fn ops_7_included_files_are_found_where_the_source_is() {
        let call = ["include_str", "!(\"../../docs/x.md\")"].concat();
        let source = format!("const X: &str = {call};\n#[cfg(test)]\nmod tests {{ {call} }}");
        assert_eq!(names(&source), ["../../docs/x.md"]);
        assert_eq!(resolve(Path::new("crates/cli/../../docs/x.md")), Path::new("docs/x.md"));
    }
}
