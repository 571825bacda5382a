//! E-mail addresses: the mailbox of RFC 5321 with the international characters of RFC 6531.
//!
//! Comments, folding white space and the obsolete forms of RFC 5322 are refused: no server accepts them in an envelope.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Octets of an address without its angle brackets (RFC 5321 4.5.3.1.3).
const ADDRESS_MAX: usize = 254;
const LOCAL_MAX: usize = 64;
const DOMAIN_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// The address with its domain in lower case; the local part belongs to the receiving server and is kept as written.
pub(super) fn canonical(text: String) -> Result<String, String> {
    let expected = || "expected an e-mail address like name@example.com".to_owned();
    let at = text.rfind('@').ok_or_else(expected)?;
    let (local, domain) = (&text[..at], &text[at + 1..]);
    let has_upper = domain.chars().any(|character| character.to_lowercase().next() != Some(character));
    let domain = if has_upper { domain.to_lowercase() } else { domain.to_owned() };
    let is_literal = domain.starts_with('[');
    let is_valid = at + 1 + domain.len() <= ADDRESS_MAX
        && is_local_part(local)
        && if is_literal { is_address_literal(&domain) } else { is_domain(&domain) };
    match (is_valid, has_upper) {
        (false, _) => Err(expected()),
        (true, false) => Ok(text),
        (true, true) => Ok(format!("{local}@{domain}")),
    }
}

fn is_local_part(local: &str) -> bool {
    if local.len() > LOCAL_MAX {
        return false;
    }
    match local.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').is_some_and(is_quoted_content),
        None => local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_text)),
    }
}

fn is_atom_text(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(character) || is_international(character)
}

/// What stands between the quotes; a backslash escapes one printable ASCII character.
fn is_quoted_content(content: &str) -> bool {
    let mut characters = content.chars();
    while let Some(character) = characters.next() {
        let is_fine = match character {
            '\\' => characters.next().is_some_and(|escaped| matches!(escaped, ' '..='~')),
            '"' => false,
            ' '..='~' => true,
            other => is_international(other),
        };
        if !is_fine {
            return false;
        }
    }
    true
}

/// Dot-separated labels of letters, digits and inner hyphens, ASCII or international.
pub(super) fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || is_international(c))
    };
    domain.len() <= DOMAIN_MAX && domain.split('.').all(is_label)
}

/// `[192.0.2.1]` or `[ipv6:2001:db8::1]`.
fn is_address_literal(literal: &str) -> bool {
    let Some(address) = literal.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else { return false };
    match address.strip_prefix("ipv6:") {
        None => address.parse::<Ipv4Addr>().is_ok(),
        Some(address) => address.parse::<Ipv6Addr>().is_ok() && replaces_two_groups(address),
    }
}

/// RFC 5321 lets `::` stand for two or more groups of zeros, where newer texts allow one.
fn replaces_two_groups(address: &str) -> bool {
    let groups = address.split(':').filter(|group| !group.is_empty());
    let count: usize = groups.map(|group| if group.contains('.') { 2 } else { 1 }).sum();
    !address.contains("::") || count <= 6
}

/// Not ASCII, and neither space, control nor a character that only looks like a dot or changes the direction of text.
fn is_international(character: char) -> bool {
    let is_deceptive = matches!(character,
        '\u{3002}' | '\u{ff0e}' | '\u{ff61}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2024}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffd}' | '\u{e000}'..='\u{f8ff}');
    !character.is_ascii() && !character.is_whitespace() && !character.is_control() && !is_deceptive
}
