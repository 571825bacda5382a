//! Replays the scripts of `spec/sessions` on replica and session; their README explains the format.
//!
//! With `SYNCLINE_TEST_WRITE=sessions` in its environment the test writes what the machine does into the scripts instead of
//! comparing, for somebody to read before it is kept: the inputs stay as they are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod bed;
mod layout;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use bed::{Bed, Device, Step};

type Object = Map<String, Value>;

/// What a step is expected to lead to; everything else of it is the input.
const EXPECTED: [&str; 4] = ["error", "effects", "wakeup_ms", "state"];
const DEVICE: &str = "device.json";

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "spec"].iter().collect()
}

fn read(name: &str) -> Value {
    let text = fs::read_to_string(folder().join("sessions").join(name)).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn write(name: &str, value: &Value) {
    fs::write(folder().join("sessions").join(name), layout::of(value)).unwrap();
}

fn is_writing() -> bool {
    std::env::var("SYNCLINE_TEST_WRITE").is_ok_and(|what| what == "sessions")
}

/// Files of scripts by name, without the device that all of them begin with.
fn names() -> Vec<String> {
    let files = fs::read_dir(folder().join("sessions")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".json") && name != DEVICE).collect();
    names.sort();
    names
}

fn scripts(name: &str) -> Vec<Value> {
    read(name).as_array().unwrap().clone()
}

fn text<'v>(script: &'v Value, member: &str) -> &'v str {
    script[member].as_str().unwrap_or_else(|| panic!("{member}: a text is expected in {script}"))
}

/// Members of `after` that are not as in `before`; of `scopes` and `records` the entries, null for one that is gone.
fn difference(before: &Object, after: &Object) -> Object {
    let mut changed = Object::new();
    for (name, value) in after.iter().filter(|(name, value)| before.get(*name) != Some(value)) {
        let value = match (&before[name], value) {
            (Value::Object(before), Value::Object(after)) => {
                let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Value::Null));
                let new = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
                gone.chain(new.map(|(key, value)| (key.clone(), value.clone()))).collect()
            }
            (_, value) => value.clone(),
        };
        changed.insert(name.clone(), value);
    }
    changed
}

fn input_of(step: &Value) -> Object {
    let mut step = step.as_object().unwrap().clone();
    step.retain(|name, _| !EXPECTED.contains(&name.as_str()));
    step
}

/// Plays a script; every step with what it led to in the place of what is expected.
fn played(device: &Device, script: &Value) -> Value {
    let mut bed = Bed::new(device, script.get("random").map(|_| text(script, "random")));
    if let Some(Value::String(begin)) = script.get("begin") {
        let begins = device.beginnings.iter().find(|script| text(script, "name") == begin);
        for step in begins.unwrap_or_else(|| panic!("no script begins `{begin}`"))["steps"].as_array().unwrap() {
            bed.take(Step::read(input_of(step)).unwrap()).unwrap();
        }
    }
    let mut before = bed.state();
    let mut steps = Vec::new();
    for (index, step) in script["steps"].as_array().unwrap().iter().enumerate() {
        let mut step = input_of(step);
        let asked: Step = Step::read(step.clone())
            .unwrap_or_else(|error| panic!("{}, step {}: {error}", text(script, "name"), index + 1));
        match bed.take(asked) {
            Ok(effects) if effects.is_empty() => {}
            Ok(effects) => drop(step.insert("effects".into(), effects.into())),
            Err(code) => drop(step.insert("error".into(), code.into())),
        }
        step.insert("wakeup_ms".into(), json!(bed.wakeup_ms()));
        let after = bed.state();
        let changed = difference(&before, &after);
        if !changed.is_empty() {
            step.insert("state".into(), changed.into());
        }
        before = after;
        steps.push(Value::Object(step));
    }
    let mut script = script.clone();
    script["steps"] = steps.into();
    script
}

/// The first step that did not lead to what is expected.
fn complaint(expected: &Value, played: &Value) -> Option<String> {
    let steps = expected["steps"].as_array().unwrap().iter().zip(played["steps"].as_array().unwrap());
    let (index, (expected_step, got)) = steps.enumerate().find(|(_, (expected, got))| expected != got)?;
    let (expected_step, got) = (layout::of(expected_step), layout::of(got));
    Some(format!("{}, step {}:\nwant {expected_step}got  {got}", text(expected, "name"), index + 1))
}

#[test]
fn ses_2_every_session_goes_as_in_the_scripts() {
    let mut declared = read(DEVICE);
    if is_writing() {
        declared["schema"]["hash"] = Device::hash_of(&declared["schema"]).into();
        declared["state"] = Value::Null;
    }
    let device = Device::read(&declared);
    let state = Value::Object(Bed::new(&device, None).state());
    let begin: Vec<Value> = device.beginnings.iter().map(|script| played(&device, script)).collect();
    if is_writing() {
        declared["state"] = state.clone();
        declared["beginnings"] = begin.clone().into();
        write(DEVICE, &declared);
    }
    assert_eq!(declared["state"], state, "what a device begins with");
    let mut complaints: Vec<String> = declared["beginnings"]
        .as_array()
        .unwrap()
        .iter()
        .zip(&begin)
        .filter_map(|(script, played)| complaint(script, played))
        .collect();
    for name in names() {
        let scripts = scripts(&name);
        let played: Vec<Value> = scripts.iter().map(|script| played(&device, script)).collect();
        if is_writing() {
            write(&name, &played.into());
        } else {
            complaints.extend(scripts.iter().zip(&played).filter_map(|(script, played)| complaint(script, played)));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_session_script_cites_rules_of_the_protocol() {
    let protocol = fs::read_to_string(folder().join("PROTOCOL.md")).unwrap();
    let mut cited = BTreeSet::new();
    let mut named = BTreeSet::new();
    for script in names().iter().flat_map(|name| scripts(name)) {
        assert!(named.insert(text(&script, "name").to_owned()), "two scripts are called `{}`", text(&script, "name"));
        let rules = script["rules"].as_array().unwrap();
        assert!(!rules.is_empty(), "{} cites no rule", text(&script, "name"));
        for rule in rules {
            let rule = rule.as_str().unwrap();
            assert!(protocol.contains(&format!("- **{rule}** ")), "{}: there is no {rule}", text(&script, "name"));
            cited.insert(rule.to_owned());
        }
    }
    // What a client has to do by itself, over time, and not by one answer.
    let shown = "BAT-1 BAT-2 BAT-3 BAT-4 BAT-7 CLK-1 EPO-1 EPO-3 EPO-4 ERR-1 GRT-1 LIV-1 LIV-2 MUT-4 PSH-1 PSH-3 PSH-4 PSH-6 \
                 PSH-7 REP-1 REP-2 REP-3 REP-4 REP-5 REV-2 SES-2 SES-3 SES-6 SES-7 SES-9 SNP-3 VEW-1 VEW-2 VEW-3 VEW-4 VEW-6";
    for rule in shown.split_whitespace() {
        assert!(cited.contains(rule), "no script shows {rule}");
    }
}

#[test]
fn session_scripts_are_laid_out_as_they_are_written() {
    for name in names().into_iter().filter(|_| !is_writing()) {
        let path = folder().join("sessions").join(&name);
        assert!(fs::read_to_string(path).unwrap() == layout::of(&read(&name)), "{name}: see the README on writing");
    }
}
