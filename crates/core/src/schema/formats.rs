//! Formats of text fields. Each returns the canonical text or says what is expected.

use super::{Format, email, time};

/// Brings `text`, which has no NUL and fits its field, to the canonical form of `format`.
pub(super) fn canonical(format: &Format, text: String) -> Result<String, String> {
    let (is_valid, expected) = match format {
        Format::Email => return email::canonical(text),
        Format::Timezone => {
            let name = time::zone_name(&text);
            return name.ok_or_else(|| "expected an IANA time zone like Europe/Berlin".to_owned());
        }
        Format::Hostname => {
            let text = text.to_lowercase();
            let is_valid = text.contains('.') && email::is_domain(&text);
            return if is_valid { Ok(text) } else { Err("expected a domain like example.com".to_owned()) };
        }
        Format::Currency => return code(text, 3, "expected an ISO 4217 currency like EUR"),
        Format::Country => return code(text, 2, "expected an ISO 3166 country code like DE"),
        Format::Phone => (is_phone(&text), "expected a phone number: 1 to 40 characters with at least 3 digits"),
        Format::Url => (is_url(&text, &["http", "https"]), "expected a URL like https://example.com"),
        Format::HttpsUrl => (is_url(&text, &["https"]), "expected a URL that starts with https://"),
        Format::Language => (is_language(&text), "expected a BCP 47 language tag like en-GB"),
        Format::Slug => (is_slug(&text), "expected 3 to 40 of a-z, 0-9 and -, starting with a letter or digit"),
        Format::Position => (is_position(&text), "expected 1 to 64 of 0-9, A-Z, a-z, not ending in 0"),
        Format::NotBlank => (!text.trim().is_empty(), "expected some text"),
        Format::Pattern(pattern) => (pattern.is_match(&text), pattern.message()),
    };
    if is_valid { Ok(text) } else { Err(expected.to_owned()) }
}

/// `len` ASCII letters, brought to upper case.
fn code(mut text: String, len: usize, expected: &str) -> Result<String, String> {
    text.make_ascii_uppercase();
    let is_valid = text.len() == len && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_valid { Ok(text) } else { Err(expected.to_owned()) }
}

/// Digits of any of the scripts people write phone numbers in count.
fn is_phone(text: &str) -> bool {
    let is_digit = |character: &char| {
        matches!(character, '0'..='9' | '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}'
            | '\u{966}'..='\u{96f}' | '\u{ff10}'..='\u{ff19}')
    };
    let has_control = text.chars().any(char::is_control);
    !has_control && text.chars().count() <= 40 && text.chars().filter(is_digit).count() >= 3
}

/// `scheme://host[:port][/…]`, scheme in either case; user names and passwords in the host part are refused.
fn is_url(text: &str, schemes: &[&str]) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let is_known = schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let is_clean =
        |character: char| !character.is_control() && !character.is_whitespace() && !"<>\"\\^`{|}".contains(character);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    is_known && rest.chars().all(is_clean) && is_authority(authority)
}

fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((address, port)) => {
                let is_port = port.is_empty() || port.starts_with(':');
                return is_port && address.parse::<std::net::Ipv6Addr>().is_ok() && is_port_number(port.get(1..));
            }
            None => return false,
        },
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    is_port_number(port) && is_url_host(host)
}

/// An empty port stands for the scheme's own.
fn is_port_number(port: Option<&str>) -> bool {
    port.is_none_or(|port| port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()))
}

/// As a mail domain, and `_` inside labels, which host names on the web do carry.
fn is_url_host(host: &str) -> bool {
    !host.is_empty() && email::is_domain(&host.replace('_', "x"))
}

/// Well-formed by BCP 47: `language[-extlang][-script][-region][-variant…][-extension…][-x-private…]`.
fn is_language(text: &str) -> bool {
    let subtags: Vec<&str> = text.split('-').collect();
    let is_subtag = |tag: &&str| (1..=8).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !subtags.iter().all(is_subtag) {
        return false;
    }
    let is_alpha = |tag: &str| tag.bytes().all(|byte| byte.is_ascii_alphabetic());
    let first = subtags[0];
    if first.eq_ignore_ascii_case("x") {
        return subtags.len() > 1;
    }
    if first.len() < 2 || !is_alpha(first) {
        return false;
    }
    let mut rest = subtags[1..].iter().copied().peekable();
    for _ in 0..3 {
        if first.len() <= 3 {
            rest.next_if(|tag| tag.len() == 3 && is_alpha(tag));
        }
    }
    rest.next_if(|tag| tag.len() == 4 && is_alpha(tag));
    rest.next_if(|tag| {
        (tag.len() == 2 && is_alpha(tag)) || (tag.len() == 3 && tag.bytes().all(|b| b.is_ascii_digit()))
    });
    let is_variant = |tag: &&str| tag.len() >= 5 || (tag.len() == 4 && tag.starts_with(|c: char| c.is_ascii_digit()));
    while rest.next_if(is_variant).is_some() {}
    while let Some(singleton) = rest.next_if(|tag| tag.len() == 1) {
        let least = if singleton.eq_ignore_ascii_case("x") { 1 } else { 2 };
        let mut count = 0;
        while rest.next_if(|tag| tag.len() >= least).is_some() {
            count += 1;
        }
        if count == 0 {
            return false;
        }
    }
    rest.next().is_none()
}

fn is_slug(text: &str) -> bool {
    let is_body = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (3..=40).contains(&text.len()) && text.bytes().all(is_body) && !text.starts_with('-')
}

fn is_position(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !text.ends_with('0')
}
