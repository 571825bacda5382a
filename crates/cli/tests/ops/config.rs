use crate::{Place, answer};

#[test]
fn ops_4_config_check_says_what_is_wrong() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let check = |file: &str, variables: &[(&str, &str)]| {
        let file = place.file("syncline.toml", file);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.args(["config", "check", "--json", "--config"]).arg(file).envs(variables.iter().copied());
        answer(&command.output().unwrap())
    };
    let (code, fine) = check("[http]\nport = 8001\n", &[("METRICS_PROT", "1")]);
    assert_eq!((code, &fine["valid"]), (0, &true.into()), "{fine}");
    assert_eq!(fine["unknown_variables"][0], "METRICS_PROT");
    for (file, variables, expected) in [
        ("[http]\nprot = 1\n", vec![], "prot"),
        ("[http]\ndrain_ms = 999999\n", vec![], "http.drain_ms"),
        ("", vec![("DEBUG", "perhaps")], "DEBUG"),
        ("", vec![("ENVIRONMENT", "production"), ("DATABASE_URL", "postgres://a:b@c/d")], "JWT_SECRET_KEY"),
    ] {
        let (code, wrong) = check(file, &variables);
        assert_eq!((code, &wrong["valid"]), (1, &false.into()), "{wrong}");
        assert!(wrong["problem"].as_str().unwrap().contains(expected), "{wrong}");
    }
}

#[test]
fn ops_4_config_dump_shows_what_is_in_force_and_no_secret() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let file = place.file("syncline.toml", "[bus]\nredis_url = 'redis://:hush@r'\n");
    let dump = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.args(["config", "dump", "--config"]).arg(&file).args(more).env("SERVER_PORT", "8123");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let text = dump(&[]);
    assert!(text.lines().any(|line| line.starts_with("port = 8123") && line.ends_with("# SERVER_PORT")), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("redis_url = \"(secret)\"") && line.ends_with("# file")),
        "{text}"
    );
    assert!(!text.contains("hush"));
    let json: serde_json::Value = serde_json::from_str(&dump(&["--json"])).unwrap();
    assert_eq!(json["http.port"], serde_json::json!({"value": 8123, "source": "SERVER_PORT"}));
}

#[test]
fn ops_4_config_docs_lists_every_setting() {
    let docs = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_syncline")).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let page = docs(&["config", "docs"]);
    let settings: serde_json::Value = serde_json::from_str(&docs(&["config", "dump", "--json"])).unwrap();
    for name in settings.as_object().unwrap().keys() {
        let (section, key) = name.split_once('.').unwrap();
        assert!(page.contains(&format!("## `[{section}]`")) && page.contains(&format!("| `{key}` |")), "{name}");
    }
}

#[test]
fn ops_4_production_refuses_demo_data() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let mut command = place.command(["serve", "--demo", "--listen", "127.0.0.1:0"]);
    let output = command.env("ENVIRONMENT", "production").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("--demo"), "{said}");
}
