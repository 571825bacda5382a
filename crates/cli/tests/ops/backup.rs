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
fn epo_2_restoring_the_same_backup_again_begins_another_epoch() {
    let place = Place::with_workspace();
    let file = place.dir.path().join("backup.sqlite");
    assert!(place.run(["backup", "--out", path(&file)]).status.success());
    let restored = |more: &[&str]| {
        let args = ["restore", path(&file), "--force", "--json"];
        let (code, answer) = answer(&place.run(args.into_iter().chain(more.iter().copied())));
        (code, if code == 0 { answer["workspaces"][0]["epoch"].clone() } else { answer })
    };
    assert_eq!(restored(&[]), (0, json!(1)));
    assert_eq!(restored(&[]), (0, json!(2)), "the database that is moved aside was at 1");
    assert_eq!(restored(&["--epoch", "7"]), (0, json!(7)));
    let (code, refused) = restored(&["--epoch", "7"]);
    assert!(code == 1 && refused.as_str().unwrap().contains("must be 8 or higher"), "{refused}");
    let epoch = || place.store().read(&workspace(), |read| read.head()).unwrap().epoch;
    assert_eq!(epoch(), 7, "the former database is back");
    let (code, refused) = restored(&["--epoch", "8192"]);
    assert!(code == 2 && refused.as_str().unwrap().contains("1..=8191"), "{refused}");

    std::fs::write(place.database(), "no database").unwrap();
    let (code, refused) = restored(&[]);
    assert!(code == 1 && refused.as_str().unwrap().contains("--epoch N"), "{refused}");
    assert_eq!(restored(&["--epoch", "8"]), (0, json!(8)), "whoever restores knows what it was");
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
