//! Puts the built console into the binary. Without one there is a page that says how to build it.

use std::path::Path;

const CONSOLE: &str = "../../apps/console/dist";
const MISSING: &str = "console-missing";

fn main() {
    println!("cargo::rerun-if-changed={CONSOLE}");
    println!("cargo::rerun-if-changed={MISSING}");
    let is_built = Path::new(CONSOLE).join("index.html").is_file();
    memory_serve::load_directory_with_embed(if is_built { CONSOLE } else { MISSING }, true);
}
