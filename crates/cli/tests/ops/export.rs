use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::sample::shared;
use crate::{Place, counters, path};

/// Texts as contacts' first names, exported and imported elsewhere.
fn round_trip(texts: &[String], format: &str) {
    let (here, there) = (Place::with_workspace(), Place::with_workspace());
    let rows: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| json!({ "firstname": text, "crm_id": format!("n{number}") }))
        .collect();
    let file = here.file("rows.json", Value::from(rows).to_string());
    let (_, answer) = here.import(&file, "contacts", &["--placeholder", ""]);
    let [read, created, ..] = counters(&answer);
    assert_eq!(read, created, "{answer}");
    let out = here.dir.path().join(format!("out.{format}"));
    let done = here.run(["export", "--entity", "contacts", "--format", format, "--out", path(&out)]);
    assert!(done.status.success(), "{done:?}");
    let (_, answer) = there.import(&out, "contacts", &["--placeholder", ""]);
    assert_eq!(counters(&answer)[1], created, "{answer}");
    let names = |place: &Place| -> BTreeSet<String> {
        place
            .records("contacts")
            .iter()
            .map(|contact| format!("{} {} {}", contact["id"], contact["crm_id"], contact["firstname"]))
            .collect()
    };
    assert_eq!(names(&here), names(&there));
}

#[test]
fn imp_1_formulas_are_marked_and_come_back() {
    let texts = ["=1+1", "+49 30", "-5", "@x", "'=x", "'plain'", "007", " spaces ", "a\r\nb", "\"q\"", "\t=1"];
    let texts = texts.map(str::to_owned);
    round_trip(&texts, "csv");
    let place = Place::with_workspace();
    place.import(&place.file("f.csv", "First Name\n'=HYPERLINK(1)\n"), "contacts", &[]);
    let exported = |raw: &[&str]| {
        let output = place.run(["export", "--entity", "contacts"].into_iter().chain(raw.iter().copied()));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(exported(&[]).contains(",'=HYPERLINK(1),"));
    assert!(exported(&["--raw"]).contains(",=HYPERLINK(1),"));
}

#[test]
fn imp_1_naughty_strings_survive_export_and_import() {
    let Some(file) = shared("hostile/blns/blns.json") else { return };
    let texts: Vec<String> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let texts: Vec<String> = texts
        .into_iter()
        .filter(|text| !text.is_empty() && text.chars().count() <= 255 && !text.contains('\0'))
        .collect();
    assert!(texts.len() > 480);
    for format in ["csv", "json", "ndjson"] {
        round_trip(&texts, format);
    }
}
