//! Stable codes of everything that can go wrong, each with the class that says what a client does (spec/CODES.md).

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::id::{MessageId, ScopeId};

/// What a client does about an error. Behaviour follows the class, never an HTTP status. One of a later version is read as
/// transient.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", from = "ClassName")]
pub enum Class {
    /// Back off and send the same again; the outbox is kept.
    Transient,
    /// Refresh credentials or ask the person; the outbox is kept.
    Session,
    /// Repaired automatically, bounded and counted; the outbox is kept.
    Protocol,
    /// This write will never be accepted: move it to the rejected list and go on.
    Rejected,
    /// The device's own store is in trouble; the outbox is protected.
    Local,
    /// Stop syncing; the outbox is kept and can be exported.
    Fatal,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ClassName {
    Session,
    Protocol,
    Rejected,
    Local,
    Fatal,
    #[serde(other)]
    Transient,
}

impl From<ClassName> for Class {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::Session => Class::Session,
            ClassName::Protocol => Class::Protocol,
            ClassName::Rejected => Class::Rejected,
            ClassName::Local => Class::Local,
            ClassName::Fatal => Class::Fatal,
            ClassName::Transient => Class::Transient,
        }
    }
}

impl Class {
    /// The code of the class that says least: what stands for one of a later version.
    fn least_code(self) -> Code {
        match self {
            Class::Transient => Code::Unavailable,
            Class::Session => Code::Unauthenticated,
            Class::Protocol => Code::Malformed,
            Class::Rejected => Code::Rule,
            Class::Local => Code::CorruptLocal,
            Class::Fatal => Code::ProtoUnsupported,
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $class:ident, $status:literal;)*) => {
        /// A stable error code. On the wire it is its snake-case text.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $text)] $variant,)* }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)* }
            }
            pub fn class(self) -> Class {
                match self { $(Code::$variant => Class::$class,)* }
            }
            /// Status of a REST answer with this code.
            pub fn http_status(self) -> u16 {
                match self { $(Code::$variant => $status,)* }
            }
        }
    };
}

codes! {
    Unavailable = "unavailable", Transient, 503;
    Overloaded = "overloaded", Transient, 503;
    RateLimited = "rate_limited", Transient, 429;
    Timeout = "timeout", Transient, 504;
    /// Not from this address, or not from this web page.
    RefusedHere = "refused_here", Transient, 403;
    /// Our bug; the request id finds it in the log.
    Internal = "internal", Transient, 500;
    Unauthenticated = "unauthenticated", Session, 401;
    TokenExpired = "token_expired", Session, 401;
    LeaseExpired = "lease_expired", Session, 401;
    MfaRequired = "mfa_required", Session, 401;
    OutOfOrder = "out_of_order", Protocol, 409;
    CursorExpired = "cursor_expired", Protocol, 410;
    DigestMismatch = "digest_mismatch", Protocol, 409;
    EpochChanged = "epoch_changed", Protocol, 409;
    ServerAhead = "server_ahead", Protocol, 409;
    /// A frame or body that does not follow the spec.
    Malformed = "malformed", Protocol, 400;
    /// `If-Match` names another rv than the record's.
    PreconditionFailed = "precondition_failed", Protocol, 412;
    /// No such endpoint, or nothing the caller may see under that id.
    NotFound = "not_found", Protocol, 404;
    MethodNotAllowed = "method_not_allowed", Protocol, 405;
    Validation = "validation", Rejected, 422;
    Rule = "rule", Rejected, 422;
    Forbidden = "forbidden", Rejected, 403;
    Gone = "gone", Rejected, 410;
    Unique = "unique", Rejected, 409;
    RefMissing = "ref_missing", Rejected, 422;
    DependencyFailed = "dependency_failed", Rejected, 424;
    TooLarge = "too_large", Rejected, 413;
    UnknownEntity = "unknown_entity", Rejected, 404;
    /// The record was created before, by somebody else or with other contents.
    AlreadyExists = "already_exists", Rejected, 409;
    StorageFull = "storage_full", Local, 507;
    StorageEvicted = "storage_evicted", Local, 507;
    StorageLocked = "storage_locked", Local, 503;
    CorruptLocal = "corrupt_local", Local, 500;
    ProtoUnsupported = "proto_unsupported", Fatal, 426;
    DeviceRevoked = "device_revoked", Fatal, 403;
    BackendMismatch = "backend_mismatch", Fatal, 409;
}

/// WebSocket close codes. 44xx: reconnect with back-off; 45xx: the same, and start from `hello`; 46xx: stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum CloseCode {
    /// The node is draining; `goodbye` said when to come back.
    Draining = 4400,
    /// No credential within the deadline, or an expired one.
    AuthTimeout = 4401,
    /// Nothing was heard for the connection timeout.
    Dead = 4402,
    /// Too many frames or connections.
    Overloaded = 4403,
    /// A newer connection of the same client took over.
    Replaced = 4404,
    /// The peer broke the protocol (malformed, unknown or oversized frame too often).
    Protocol = 4405,
    /// The credential was refused.
    Unauthenticated = 4406,
    /// Resync from `hello`.
    Resync = 4500,
    ProtoUnsupported = 4600,
    DeviceRevoked = 4601,
    BackendMismatch = 4602,
}

impl Code {
    fn of_class(text: &str, class: Class) -> Self {
        Code::ALL.iter().copied().find(|code| code.as_str() == text).unwrap_or(class.least_code())
    }

    /// The code of an outcome, when it has one. One of a later version is read as `rule`: the mutation is rejected anyway.
    pub(crate) fn of_outcome<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.map(|text| Self::of_class(&text, Class::Rejected)))
    }
}

/// The body of every error, on REST as `application/problem+json` (RFC 9457), on a socket inside an `error` frame. A code of a
/// later version is read as one of its class: what a client does follows the class, what a person reads is the message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Problem {
    pub code: Code,
    pub class: Class,
    /// What happened and what to do, for a person.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_seq: Option<u64>,
    /// In answer to `msg`: the message it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// In answer to `verify` and `fetch`: the scope they named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeId>,
    /// In answer to `sub`: the topic it named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl<'de> Deserialize<'de> for Problem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::deserialize(deserializer)?;
        if let (Some(Value::String(code)), Some(class)) = (members.get("code"), members.get("class")) {
            let class = Class::deserialize(class).map_err(D::Error::custom)?;
            let code = Code::of_class(code, class).as_str();
            members.insert("code".to_owned(), code.into());
        }
        Problem::deserialize(Value::Object(members)).map_err(D::Error::custom)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Problem::serialize(self, serializer)
    }
}

impl Problem {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let class = code.class();
        let message = message.into();
        Self {
            code,
            class,
            message,
            retry_ms: None,
            request_id: None,
            client_seq: None,
            message_id: None,
            scope: None,
            topic: None,
            entity: None,
            field: None,
        }
    }
}
