use serde_json::json;

use crate::sample::leads_csv;
use crate::{Place, answer, counters};

#[test]
fn imp_1_undo_deletes_exactly_what_the_import_created() {
    let place = Place::with_workspace();
    place.import(&place.file("before.csv", "First Name,Email\nAnn,ann@example.com\n"), "contacts", &[]);
    let file = place.file("leads.csv", leads_csv(650));
    let (_, imported) = place.import(&file, "leads", &[]);
    let import_id = imported["import_id"].as_str().unwrap();
    // One was edited since, by another import.
    let edit = place.file("edit.csv", "Account Id,City\nA00003,Oslo\n");
    assert_eq!(counters(&place.import(&edit, "contacts", &["--on-match", "overwrite"]).1), [1, 0, 1, 0, 0]);

    let (code, undone) = answer(&place.run(["import", "--undo", import_id, "--json"]));
    assert_eq!(code, 0, "{undone}");
    let kept = undone["kept"].as_array().unwrap();
    assert!(
        kept.iter().any(|kept| kept["entity"] == "contacts" && kept["reason"] == "edited since the import"),
        "{undone}"
    );
    let mut names: Vec<_> = place.records("contacts").iter().map(|contact| contact["firstname"].clone()).collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, [json!("Ann"), json!("First3")]);
    assert_eq!(place.records("leads").len(), 1, "the lead of the contact that stays");
    assert_eq!(place.records("status_options").len(), 1, "the label that is still in use");
    let states: Vec<_> = place.records("imports").iter().map(|import| import["state"].clone()).collect();
    assert!(states.contains(&json!("reverted")));

    // Undone rows may come again; afterwards nothing is left out and nothing is twice.
    let (_, again) = place.import(&file, "leads", &[]);
    assert_eq!(counters(&again), [650, 649, 0, 1, 0], "{again}");
    let (code, forced) = answer(&place.run(["import", "--undo", import_id, "--force", "--json"]));
    assert_eq!(code, 0, "{forced}");
}
