use serde_json::json;
use syncline_core::storage::{Store as _, epoch_base};

use crate::sample::leads_csv;
use crate::{Place, answer, path, workspace};

#[test]
fn epo_1_a_restored_backup_starts_a_new_epoch() {
    let place = Place::with_workspace();
    place.import(&place.file("leads.csv", leads_csv(30)), "leads", &[]);
    let file = place.dir.path().join("backup.sqlite");
    let writer = place.store();
    let (code, done) = answer(&place.run(["backup", "--out", path(&file), "--json"]));
    assert_eq!(code, 0, "{done}");
    drop(writer);
    let records = place.records("contacts");

    let (code, refused) = answer(&place.run(["restore", path(&file), "--json"]));
    assert!(code == 1 && refused.as_str().unwrap().contains("--force"), "{refused}");
    let other = Place { dir: tempfile::tempdir().unwrap() };
    let (code, restored) = answer(&other.run(["restore", path(&file), "--json"]));
    assert_eq!((code, &restored["workspaces"]), (0, &json!([{ "workspace": "main", "epoch": 1 }])), "{restored}");
    assert_eq!(other.records("contacts"), records);
    let head = other.store().read(&workspace(), |read| read.head()).unwrap();
    assert_eq!((head.epoch, head.seq), (1, epoch_base(1)));

    let (code, forced) = answer(&place.run(["restore", path(&file), "--force", "--json"]));
    assert_eq!(code, 0, "{forced}");
    let moved = forced["moved_aside"].as_str().unwrap();
    assert!(std::path::Path::new(moved).exists(), "the former database is kept");
    assert_eq!(place.records("contacts"), records);
}

#[test]
fn epo_1_a_damaged_backup_is_refused_and_the_database_stays() {
    let place = Place::with_workspace();
    place.import(&place.file("leads.csv", leads_csv(30)), "leads", &[]);
    let records = place.records("contacts");
    let broken = place.file("broken.sqlite", b"SQLite format 3\0 and then nothing of the kind");
    let (code, refused) = answer(&place.run(["restore", path(&broken), "--force", "--json"]));
    assert_eq!(code, 1, "{refused}");
    assert_eq!(place.records("contacts"), records);
}
