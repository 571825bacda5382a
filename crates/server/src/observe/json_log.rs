//! Logs: JSON with fixed members when nobody watches, pretty on a terminal. Never bodies, tokens, names or addresses.

use std::fmt;
use std::io::IsTerminal as _;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::audit::current_request;
use crate::config::{LogConfig, LogFormat};

/// Writes an event as one line: `timestamp, level, logger, request_id, user_id, deployment_mode, event, message,
/// context{…}`. Fields of the event and of its spans that have no member of their own go into `context`.
pub struct JsonLog;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("LOG_LEVEL={0:?} is not a level or a list of directives such as `info,syncline_server=debug`")]
    Level(String),
    #[error("logging is set up already")]
    Twice,
}

/// Libraries that below this level tell whole messages, bodies of people's data among them, or every step of a migration.
const OTHERS: &str = "refinery_core=warn,tungstenite=info,tokio_tungstenite=info,tokio_postgres=info,hyper=info,\
    hyper_util=info,reqwest=info,rustls=info";

/// Sets up logging to standard error for the process.
pub fn init_logging(config: &LogConfig) -> Result<(), LogError> {
    // The migration runner tells every step at info; its caller says what matters.
    let level = if config.is_debug && config.level == "info" { "debug" } else { config.level.as_str() };
    // Targets of their own, so that a level alone does not bring them.
    let details = if config.is_debug { "debug" } else { "off" };
    let filter = tracing_subscriber::EnvFilter::try_new(format!("{level},{OTHERS},frames={details},sql={details}"));
    let filter = filter.map_err(|_| LogError::Level(config.level.clone()))?;
    let is_pretty = match config.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let done = if is_pretty {
        builder.with_target(false).compact().try_init()
    } else {
        builder.event_format(JsonLog).fmt_fields(JsonSpanFields).try_init()
    };
    done.map_err(|_| LogError::Twice)
}

/// Members of the line; everything else is context.
const MEMBERS: [&str; 5] = ["request_id", "user_id", "deployment_mode", "event", "message"];

/// Keeps the fields of a span as JSON, so that events inside it can take them over.
pub struct JsonSpanFields;

impl<'writer> FormatFields<'writer> for JsonSpanFields {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut collected = Collect::default();
        fields.record(&mut collected);
        write!(writer, "{}", Value::Object(collected.0))
    }

    /// What becomes known later joins what is known, as one object.
    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        let known = serde_json::from_str(&current.fields).ok();
        let mut collected = Collect(match known {
            Some(Value::Object(known)) => known,
            Some(_) | None => Map::new(),
        });
        fields.record(&mut collected);
        current.fields = Value::Object(collected.0).to_string();
        Ok(())
    }
}

impl<S, N> FormatEvent<S, N> for JsonLog
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Map::new();
        for span in ctx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let Some(text) = extensions.get::<FormattedFields<N>>() else { continue };
            if let Ok(Value::Object(of_span)) = serde_json::from_str(&text.fields) {
                fields.extend(of_span);
            }
        }
        let mut collected = Collect(fields);
        event.record(&mut collected);
        add_principal(&mut collected.0);
        let metadata = event.metadata();
        let level = metadata.level().as_str();
        let line = line(crate::clock::now_ms(), level, metadata.target(), collected.0);
        writeln!(writer, "{line}")
    }
}

/// Whose request it is and from what kind of device, once that is proven. What an event says itself stays.
fn add_principal(fields: &mut Map<String, Value>) {
    let principal = current_request(|request| request.principal.borrow().clone()).flatten();
    let Some(principal) = principal else { return };
    fields.entry("user_id").or_insert_with(|| Value::from(principal.user_id.to_string()));
    if let Some(mode) = principal.deployment_mode {
        fields.entry("deployment_mode").or_insert_with(|| Value::from(mode.as_str()));
    }
}

/// The members in the order people read them.
fn line(now_ms: u64, level: &str, logger: &str, mut fields: Map<String, Value>) -> String {
    let millis = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let timestamp = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    let mut line = format!("{{\"timestamp\":\"{timestamp:.3}\"");
    let mut add = |name: &str, value: &Value| line.push_str(&format!(",\"{name}\":{value}"));
    add("level", &Value::from(level));
    add("logger", &Value::from(logger));
    for member in MEMBERS {
        if let Some(value) = fields.remove(member) {
            add(member, &value);
        }
    }
    if !fields.is_empty() {
        add("context", &Value::Object(fields));
    }
    line.push('}');
    line
}

#[derive(Default)]
struct Collect(Map<String, Value>);

impl Visit for Collect {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), Value::from(format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::id::{DeviceId, UserId, WorkspaceId};
    use syncline_core::principal::DeploymentMode;

    use super::*;
    use crate::audit::{RequestContext, RequestPrincipal, with_request};

    #[test]
    fn ops_3_a_line_has_the_documented_members() {
        let fields = json!({"request_id": "r1", "event": "login", "message": "signed in", "elapsed_ms": 3});
        let Value::Object(fields) = fields else { unreachable!() };
        let line = line(1_000, "INFO", "syncline_server::auth", fields);
        let expected = concat!(
            r#"{"timestamp":"1970-01-01T00:00:01.000Z","level":"INFO","logger":"syncline_server::auth","#,
            r#""request_id":"r1","event":"login","message":"signed in","context":{"elapsed_ms":3}}"#
        );
        assert_eq!(line, expected);
    }

    #[tokio::test]
    async fn ops_3_a_line_of_a_request_tells_whose_it_is_and_from_what_kind_of_device() {
        let principal = RequestPrincipal {
            workspace_id: WorkspaceId::new("acme").unwrap(),
            user_id: UserId::NIL,
            device_id: DeviceId::NIL,
            deployment_mode: Some(DeploymentMode::MobileApp),
        };
        let context = RequestContext { principal: Some(principal).into(), ..RequestContext::default() };
        let said = json!({"deployment_mode": "web_app"});
        let Value::Object(said) = said else { unreachable!() };
        let (lines, _) = with_request(context, async {
            [Map::new(), said].map(|mut fields| {
                add_principal(&mut fields);
                line(0, "INFO", "x", fields)
            })
        })
        .await;
        let user = UserId::NIL;
        let ends = |mode: &str| format!(r#""user_id":"{user}","deployment_mode":"{mode}"}}"#);
        assert!(lines[0].ends_with(&ends("mobile_app")), "{}", lines[0]);
        assert!(lines[1].ends_with(&ends("web_app")), "what an event says itself stays: {}", lines[1]);
    }

    #[test]
    fn ops_3_line_breaks_in_fields_cannot_forge_a_line() {
        let fields = Map::from_iter([("message".to_owned(), Value::from("a\n{\"level\":\"ERROR\"}"))]);
        assert_eq!(line(0, "INFO", "x", fields).lines().count(), 1);
    }
}
