use serde_json::json;

use super::*;

fn one_of_each() -> Metrics {
    let metrics = Metrics::default();
    metrics.observe_request(HttpLabels { method: "GET", path: "/health".to_owned(), status: 200 }, 0.002);
    metrics.websocket_opened(DeploymentMode::WebApp);
    metrics.count_sync(SyncOperation::Push, Status::Failed, Duration::from_millis(3));
    metrics.count_auth(AuthOperation::Login, Status::Refused);
    metrics.count_outcome(OutcomeKind::Applied);
    let conflict = json!({"entity": "conflicts", "id": uuid::Uuid::nil(), "kind": "put", "prev_rv": 0, "scope": "workspace",
        "fields": {"entity": "contacts", "strategy": "manual-review", "state": "open"}});
    metrics.count_conflict(&serde_json::from_value(conflict).unwrap());
    let step = RoutingStep::DeadLettered;
    metrics.count_messages(RoutingLabels { step, priority: "critical", status: Status::Ok }, 1);
    metrics
}

#[test]
fn ops_1_metrics_have_the_documented_names() {
    let text = one_of_each().encode().unwrap();
    for expected in [
        "http_requests_total{method=\"GET\",path=\"/health\",status=\"200\"} 1",
        "http_request_duration_seconds_count{method=\"GET\",path=\"/health\"} 1",
        "websocket_connections_active{deployment_mode=\"web_app\"} 1",
        "data_sync_operations_total{operation=\"push\",status=\"failed\"} 1",
        "auth_operations_total{operation=\"login\",status=\"refused\"} 1",
        "message_routing_total{step=\"dead_lettered\",priority=\"critical\",status=\"ok\"} 1",
        "push_outcomes_total{outcome=\"applied\"} 1",
        "conflicts_total{entity=\"contacts\",strategy=\"manual-review\",outcome=\"review\"} 1",
        "sync_operation_duration_seconds_count{operation=\"push\"} 1",
        "analytics_dropped_total 0",
        "writer_queue_depth 0",
        "sync_lag_changes 0",
        "outbox_oldest_age_ms 0",
        "digest_mismatches_total 0",
        "repaired_records_total 0",
        "bus_connected 0",
    ] {
        assert!(text.contains(expected), "missing {expected} in\n{text}");
    }
    #[cfg(target_os = "linux")]
    assert!(text.contains("process_resident_memory_bytes ") && text.contains("process_cpu_seconds_total "), "{text}");
}

#[test]
fn ops_1_names_and_label_values_are_lower_case() {
    let text = one_of_each().encode().unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let values = line.split('"').skip(1).step_by(2);
        let is_method = |value: &str| value.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_plain = |value: &str| value == value.to_ascii_lowercase() || is_method(value) || value == "+Inf";
        assert!(values.into_iter().all(is_plain), "{line}");
    }
}

/// The names that `deploy/` asks for are those of the code.
#[test]
fn ops_7_alerts_and_dashboards_name_metrics_that_there_are() {
    let text = one_of_each().encode().unwrap();
    let has =
        |name: &str| text.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    let alerts = include_str!("../../../../../deploy/prometheus/alerts.yml");
    let dashboard = include_str!("../../../../../deploy/grafana/dashboards/syncline.json");
    let mut names = 0;
    for (file, place) in [("alerts.yml", alerts), ("syncline.json", dashboard)] {
        for (before, _) in place.split("{job=").zip(place.split("{job=").skip(1)) {
            let name = before.rsplit(|next: char| !(next.is_ascii_alphanumeric() || next == '_')).next().unwrap_or("");
            names += 1;
            assert!(name == "up" || has(name), "{file} asks for {name}, which no node has:\n{text}");
        }
        for written in place.split("status=\\\"").chain(place.split("status!=\\\"")).chain(place.split("status=\"")) {
            let value: String = written.chars().take_while(|next| next.is_ascii_alphanumeric()).collect();
            assert!(value == value.to_ascii_lowercase(), "{file} asks for the status {value}");
        }
    }
    assert!(names > 20, "{names}");
    assert!(text.contains("status=\"failed\""), "the label the alerts look for");
}
