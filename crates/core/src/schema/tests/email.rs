//! Addresses nobody on this project wrote: the test data beside the project. Without that folder (`SYNCLINE_TEST_DATA`,
//! or `../shared/data` beside the checkout) these tests pass without checking anything; `spec/vectors/values.json` holds
//! the cases of our own.

use std::path::PathBuf;

use super::*;

fn data(path: &str) -> Option<String> {
    let root = std::env::var_os("SYNCLINE_TEST_DATA").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    std::fs::read_to_string(root.join("hostile").join(path)).ok()
}

fn accepts(format: &str, text: &str) -> bool {
    let kind = format!("fields = {{ a = {{ type = \"text\", format = \"{format}\", max_len = 1000 }} }}");
    let schema = Schema::parse(&around(&kind), "x").unwrap();
    schema.entities["e"].fields["a"].kind.canonical(Value::from(text)).is_ok()
}

/// The text of an element, with what XML escapes and how that file writes control characters.
fn element(test: &str, name: &str) -> Option<String> {
    let (_, rest) = test.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    let mut decoded = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("&#x") {
        let (code, after) = after.split_once(';')?;
        decoded.push_str(before);
        decoded.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
        rest = after;
    }
    decoded.push_str(rest);
    let is_picture = |c: char| ('\u{2400}'..='\u{241f}').contains(&c);
    let control = |c: char| if is_picture(c) { char::from_u32(c as u32 - 0x2400).unwrap_or(c) } else { c };
    Some(decoded.replace("&amp;", "&").chars().map(control).collect())
}

#[test]
fn val_1_email_agrees_with_the_isemail_collection() {
    let mut wrong = Vec::new();
    for file in ["isemail/tests.xml", "isemail/tests-original.xml"] {
        let Some(text) = data(file) else { return };
        for test in text.split("<test ").skip(1) {
            let address = element(test, "address").unwrap_or_default();
            let category = element(test, "category").unwrap();
            let diagnosis = element(test, "diagnosis").unwrap();
            // The older of the two files still puts `::` for a single group into the category that the newer one left.
            let is_valid = matches!(&category[..], "ISEMAIL_VALID_CATEGORY" | "ISEMAIL_DNSWARN" | "ISEMAIL_RFC5321")
                && diagnosis != "ISEMAIL_RFC5321_IPV6DEPRECATED";
            if accepts("email", &address) != is_valid {
                wrong.push(format!("{address:?} is {category} {diagnosis}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn val_1_formats_agree_with_the_json_schema_suite() {
    let files = [("email", "email"), ("idn-email", "email"), ("date-time", ""), ("date", ""), ("uuid", "")];
    let mut wrong = Vec::new();
    for (file, format) in files {
        let Some(text) = data(&format!("json-schema-formats/format/{file}.json")) else { return };
        let groups: Vec<Value> = serde_json::from_str(&text).unwrap();
        for test in groups.iter().flat_map(|group| group["tests"].as_array().unwrap()) {
            // Control characters beyond ASCII are allowed by RFC 6531 and refused here: nobody has such an address.
            let Some(input) = test["data"].as_str().filter(|input| !input.contains('\u{85}')) else { continue };
            let is_accepted = match file {
                "date-time" => FieldType::Timestamp.canonical(Value::from(input)).is_ok(),
                "date" => FieldType::Date.canonical(Value::from(input)).is_ok(),
                "uuid" => FieldType::Uuid.canonical(Value::from(input)).is_ok(),
                _ => accepts(format, input),
            };
            if Some(is_accepted) != test["valid"].as_bool() {
                wrong.push(format!("{file}: {input:?} should be {}: {}", test["valid"], test["description"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn val_1_naughty_strings_are_kept_as_written_or_refused() {
    let Some(text) = data("blns/blns.json") else { return };
    let strings: Vec<String> = serde_json::from_str(&text).unwrap();
    let kind = FieldType::Text { max_len: 10_000, format: None };
    for string in strings {
        let kept = kind.canonical(Value::from(string.as_str()));
        assert_eq!(kept.is_err(), string.contains('\0'), "{string:?}");
        assert!(kept.is_err() || kept == Ok(Value::from(string)));
    }
}
