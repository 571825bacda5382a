//! Tests of this module. VAL-n and RUL-n are rules of spec/PROTOCOL.md. SCH-n are promises of this module: 1 a mistake is
//! refused with its line and what to do, 2 the hash depends on the meaning alone, 3 the default schema says what crm.md
//! of the domain asks for, 4 every field is in exactly one group.

mod crm;
mod email;
mod mistakes;
mod vectors;

use super::*;

/// A schema of one entity `e` around the given lines of TOML.
fn around(entity: &str) -> String {
    format!(
        "version = 1\n[roles]\nadmin = 50\nagent = 30\n[entities.e]\ntier = \"normal\"\nscope = [\"workspace\"]\n\
         create = \"agent\"\nupdate = \"agent\"\ndelete = \"admin\"\n{entity}\n"
    )
}

/// Line of the first of the lines given to [`around`].
const FIRST: usize = 11;
