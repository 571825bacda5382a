//! Spreadsheet programs run cells that begin like a formula. An export marks such texts with an apostrophe in front, an
//! import takes it off again; both work on any number of apostrophes, so that every text comes back as it was.

use std::borrow::Cow;

fn is_formula_like(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// The text as an export writes it.
pub fn guard(text: &str) -> Cow<'_, str> {
    if is_formula_like(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// Undoes [`guard`].
pub fn unguard(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if is_formula_like(rest) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imp_1_guarded_texts_come_back() {
        for text in ["=1+1", "+49 30 1", "-5", "@home", "'=x", "''=x", "\t=1", "'quoted'", "", "'", "a=b", "''"] {
            assert_eq!(unguard(&guard(text)), text);
        }
        assert_eq!(guard("=1"), "'=1");
        assert_eq!(guard("plain"), "plain");
    }
}
