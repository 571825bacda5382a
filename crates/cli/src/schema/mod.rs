//! `syncline schema`: a declaration of entities looked at, and turned into what a TypeScript program needs of it.

mod declaration;
mod types;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;
use syncline_core::schema::Schema;
use toml_edit::{Document, Table};

#[derive(Subcommand)]
pub enum SchemaCommand {
    /// Read a declaration, and say what it holds or what is wrong with it
    Check(CheckArgs),
    /// Write `schema.ts` and `types.ts`, with which a TypeScript client knows every entity and field
    Types(TypesArgs),
}

#[derive(Args)]
pub struct CheckArgs {
    /// The declaration; default: the built-in CRM schema
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct TypesArgs {
    /// The declaration; default: the built-in CRM schema
    file: Option<PathBuf>,
    /// Folder to write to; it is made when it is missing
    #[arg(long)]
    out: PathBuf,
    /// First part of the exported names: `crm` gives `crmSchema` and `CrmEntities`
    #[arg(long, default_value = "crm", value_parser = prefix)]
    name: String,
    /// Module that the files import the client's own types from
    #[arg(long, default_value = "@syncline/sdk", value_parser = module)]
    import: String,
    /// Write nothing; fail when the files are not what would be written
    #[arg(long)]
    check: bool,
}

const CRM_FILE: &str = "schema/crm.toml";

pub fn run(command: &SchemaCommand) -> anyhow::Result<()> {
    match command {
        SchemaCommand::Check(args) => check(args),
        SchemaCommand::Types(args) => write_types(args),
    }
}

fn check(args: &CheckArgs) -> anyhow::Result<()> {
    let (_, _, schema) = read(args.file.as_deref())?;
    let fields: usize = schema.entities.values().map(|entity| entity.fields.len()).sum();
    let rules: usize = schema.entities.values().map(|entity| entity.rules.len()).sum();
    if args.json {
        let entities: Vec<_> = schema.entities.keys().map(ToString::to_string).collect();
        let found = json!({
            "version": schema.version, "hash": schema.hash.to_string(), "entities": entities, "fields": fields, "rules": rules,
        });
        println!("{found}");
    } else {
        let (version, hash, entities) = (schema.version, &schema.hash, schema.entities.len());
        println!("version {version} ({hash}): {entities} entities, {fields} fields, {rules} rules");
    }
    Ok(())
}

fn write_types(args: &TypesArgs) -> anyhow::Result<()> {
    let (text, file, schema) = read(args.file.as_deref())?;
    let document = Document::parse(text.as_str()).context("the declaration was read before")?;
    let naming = Naming { prefix: &args.name, module: &args.import, source: &file };
    let files = [
        ("schema.ts", declaration::render(&document, &schema, &naming)),
        ("types.ts", types::render(entities(&document), &naming)),
    ];
    if !args.check {
        std::fs::create_dir_all(&args.out).with_context(|| format!("making {}", args.out.display()))?;
    }
    for (name, text) in files {
        let path = args.out.join(name);
        if args.check {
            let is_current = std::fs::read_to_string(&path).is_ok_and(|held| held == text);
            anyhow::ensure!(is_current, "{} is not what {file} says: write it again without --check", path.display());
        } else {
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            println!("wrote {}", path.display());
        }
    }
    Ok(())
}

/// The declaration's text, what it is called, and its meaning.
fn read(path: Option<&Path>) -> anyhow::Result<(String, String, Schema)> {
    let (text, name) = match path {
        None => (syncline_client::CRM_SCHEMA.to_owned(), CRM_FILE.to_owned()),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            (text, path.display().to_string())
        }
    };
    let schema = Schema::parse(&text, &name)?;
    Ok((text, name, schema))
}

/// How the written files name things.
struct Naming<'a> {
    prefix: &'a str,
    module: &'a str,
    /// The declaration's path, for the first line.
    source: &'a str,
}

impl Naming<'_> {
    fn head(&self) -> String {
        format!("// Written by `syncline schema types` from {}. Do not edit: write it again.\n\n", self.source)
    }

    /// `crm` becomes `Crm`.
    fn capital(&self) -> String {
        types::capital(self.prefix)
    }
}

/// The entities in the order in which they are declared.
fn entities<S>(document: &Document<S>) -> &Table {
    document["entities"].as_table().expect("a declaration that was read has its entities in a table")
}

fn prefix(text: &str) -> Result<String, String> {
    let is_name = text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|next| next.is_ascii_alphanumeric());
    if is_name { Ok(text.to_owned()) } else { Err("expected a name such as `crm` or `myShop`".to_owned()) }
}

fn module(text: &str) -> Result<String, String> {
    let is_plain = !text.is_empty() && !text.contains(|each: char| each.is_control() || "\"'\\".contains(each));
    if is_plain {
        Ok(text.to_owned())
    } else {
        Err("expected a module such as `@syncline/sdk` or `../sdk.ts`".to_owned())
    }
}
