//! `syncline config`: is the configuration right, what is in force, and what there is to set.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use syncline_server::config::{Loaded, Setting, Source};
use syncline_server::{Config, Environment};

use super::EXIT_PROBLEM;
use super::import::print_json;

/// Every setting by file and environment, as `serve` would read them.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether file and environment make a configuration the server starts with
    Check(FileArgs),
    /// Print what is in force and where each setting came from; secrets are not shown
    Dump(FileArgs),
    /// Print what there is to set, in Markdown
    Docs,
}

#[derive(Debug, Args)]
pub struct FileArgs {
    /// Configuration in TOML; environment variables override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Answer for programs
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &ConfigArgs) -> anyhow::Result<u8> {
    match &args.command {
        ConfigCommand::Check(args) => check(args),
        ConfigCommand::Dump(args) => dump(args),
        ConfigCommand::Docs => {
            print!("{}", include_str!("../../../../docs/CONFIG.md"));
            Ok(0)
        }
    }
}

/// Reads file and environment as `serve` does. Bounds are not looked at yet.
pub fn load(path: Option<&Path>) -> anyhow::Result<Loaded> {
    let text = path.map(|path| std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display())));
    let text = text.transpose()?;
    let loaded = Config::load(text.as_deref(), &Environment::from_process());
    match path {
        Some(path) => loaded.with_context(|| format!("with {}", path.display())),
        None => Ok(loaded?),
    }
}

fn check(args: &FileArgs) -> anyhow::Result<u8> {
    let loaded = load(args.config.as_deref());
    let checked = loaded.and_then(|loaded| Ok((loaded.config.check()?, loaded.unknown_variables)));
    let (problem, unknown) = match checked {
        Ok(((), unknown)) => (None, unknown),
        Err(error) => (Some(format!("{error:#}")), Vec::new()),
    };
    if args.json {
        print_json(&json!({ "valid": problem.is_none(), "problem": problem, "unknown_variables": unknown }))?;
    } else {
        for name in &unknown {
            println!("warning: nothing reads {name}; is it misspelt?");
        }
        match &problem {
            None => println!("The configuration is valid."),
            Some(problem) => println!("problem: {problem}"),
        }
    }
    Ok(if problem.is_some() { EXIT_PROBLEM } else { 0 })
}

fn dump(args: &FileArgs) -> anyhow::Result<u8> {
    let settings = load(args.config.as_deref())?.settings;
    if args.json {
        let entry = |setting: &Setting| {
            let entry = json!({ "value": setting.value, "source": source_text(setting.source) });
            (setting.name.clone(), entry)
        };
        return print_json(&Value::Object(settings.iter().map(entry).collect::<Map<_, _>>())).map(|()| 0);
    }
    let mut former = "";
    for Setting { name, value, source } in &settings {
        let (section, key) = name.split_once('.').unwrap_or((name, ""));
        if section != former {
            println!("{}[{section}]", if former.is_empty() { "" } else { "\n" });
            former = section;
        }
        let shown = if value.is_null() { "(none)".to_owned() } else { value.to_string() };
        println!("{:<48} # {}", format!("{key} = {shown}"), source_text(*source));
    }
    Ok(0)
}

fn source_text(source: Source) -> &'static str {
    match source {
        Source::Default => "default",
        Source::File => "file",
        Source::Variable(name) => name,
    }
}
