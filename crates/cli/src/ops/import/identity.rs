//! When two rows are the same thing. Record ids derive from what identifies a row, so the same file makes the same
//! records whatever it is called, in whatever order, however often; e-mail addresses and phone numbers only suggest.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use syncline_core::id::{RecordId, WorkspaceId};
use syncline_core::record::Record;
use syncline_core::storage::{Read, StoreResult};
use syncline_core::{Fields, Name};

/// What identifies a row, strongest first.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum RowKey {
    /// The id our own export wrote.
    Id(RecordId),
    /// The id in the system the file comes from.
    External(String),
    /// The values of a declared uniqueness: its name and its key.
    Unique(Name, String),
    /// Nothing but the row itself: the hash of everything it says.
    Content([u8; 32]),
}

impl RowKey {
    /// The id of the record this row makes. `attempt` counts ids that are forgotten tombstones and cannot come back.
    pub fn record_id(&self, workspace: &WorkspaceId, entity: &str, attempt: u32) -> RecordId {
        let key = match self {
            RowKey::Id(id) if attempt == 0 => return *id,
            RowKey::Id(id) => format!("id\u{0}{id}"),
            RowKey::External(id) => format!("external\u{0}{id}"),
            RowKey::Unique(name, key) => format!("unique\u{0}{name}\u{0}{key}"),
            RowKey::Content(hash) => format!("row\u{0}{}", hex(hash)),
        };
        let again = if attempt == 0 { String::new() } else { format!("\u{0}{attempt}") };
        RecordId::natural(workspace, entity, &format!("import\u{0}{key}{again}"))
    }
    pub fn hash(&self) -> u64 {
        match self {
            RowKey::Id(id) => short_hash(&id.to_string()),
            RowKey::External(id) => short_hash(&format!("external\u{0}{id}")),
            RowKey::Unique(name, key) => short_hash(&format!("unique\u{0}{name}\u{0}{key}")),
            RowKey::Content(hash) => {
                u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
            }
        }
    }
}

/// The id of a contact's primary lead.
pub fn primary_lead_id(workspace: &WorkspaceId, contact: RecordId) -> RecordId {
    RecordId::natural(workspace, "leads", &format!("{contact}/primary"))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub fn short_hash(text: &str) -> u64 {
    let hash = sha256(text.as_bytes());
    u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
}

/// An address as it is compared.
pub fn email_key(email: &str) -> Option<String> {
    let folded = email.trim().to_lowercase();
    (!folded.is_empty()).then_some(folded)
}

/// A number as it is compared: its digits without the leading zeros of international writing, and the extension.
/// Shorter than seven digits says nothing.
pub fn phone_key(phone: &str) -> Option<String> {
    let lower = phone.to_lowercase();
    let (main, extension) = lower.split_once('x').unwrap_or((&lower, ""));
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let main = digits(main);
    let main = main.strip_prefix("00").unwrap_or(&main);
    let extension = digits(extension);
    if main.len() < 7 {
        return None;
    }
    Some(if extension.is_empty() { main.to_owned() } else { format!("{main}x{extension}") })
}

/// How a row met a record that was there before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Email,
    Phone,
}

/// E-mail addresses and phone numbers of the contacts that were there before the import, as hashes: about 50 bytes each.
/// Contacts the import itself makes are left out, so that no row's result depends on the rows before it.
#[derive(Default)]
pub struct Known {
    emails: HashMap<u64, RecordId>,
    phones: HashMap<u64, RecordId>,
}

impl Known {
    /// Reads all contacts; `is_own`: the running import made it.
    pub fn load(read: &dyn Read, is_own: impl Fn(&Record) -> bool) -> StoreResult<Self> {
        let mut known = Self::default();
        let mut after = None;
        loop {
            let page = read.scan("contacts", after, PAGE)?;
            let Some(last) = page.last() else { return Ok(known) };
            after = Some(last.id);
            for record in &page {
                let (email, phones) = keys(&record.fields);
                if (email.is_none() && phones.is_empty()) || is_own(record) {
                    continue;
                }
                if let Some(email) = email {
                    known.emails.entry(short_hash(&email)).or_insert(record.id);
                }
                for phone in phones {
                    known.phones.entry(short_hash(&phone)).or_insert(record.id);
                }
            }
        }
    }

    /// Ids of the contacts that [`Known::find`] may look at.
    pub fn candidates(&self, fields: &Fields) -> impl Iterator<Item = RecordId> {
        let (email, phones) = keys(fields);
        let by_email = email.and_then(|email| self.emails.get(&short_hash(&email)).copied());
        let by_phone = phones.into_iter().filter_map(|phone| self.phones.get(&short_hash(&phone)).copied());
        by_email.into_iter().chain(by_phone)
    }

    /// The contact that shares the e-mail address, or else a phone number and nothing that says it is somebody else
    /// (families share phones).
    pub fn find(&self, read: &dyn Read, fields: &Fields) -> StoreResult<Option<(Record, Kind)>> {
        let (email, phones) = keys(fields);
        if let Some(email) = &email
            && let Some(record) =
                self.emails.get(&short_hash(email)).map(|id| read.record("contacts", *id)).transpose()?
            && let Some(record) = record.flatten_live()
            && keys(&record.fields).0.as_ref() == Some(email)
        {
            return Ok(Some((record, Kind::Email)));
        }
        for phone in &phones {
            let Some(id) = self.phones.get(&short_hash(phone)) else { continue };
            let Some(record) = read.record("contacts", *id)?.flatten_live() else { continue };
            if keys(&record.fields).1.contains(phone) && is_same_name(fields, &record.fields) {
                return Ok(Some((record, Kind::Phone)));
            }
        }
        Ok(None)
    }
}

trait FlattenLive {
    fn flatten_live(self) -> Option<Record>;
}
impl FlattenLive for Option<Record> {
    fn flatten_live(self) -> Option<Record> {
        self.filter(|record| !record.is_deleted)
    }
}

const PAGE: usize = 1_000;

fn text<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).and_then(|value| value.as_str()).unwrap_or_default()
}

fn keys(fields: &Fields) -> (Option<String>, Vec<String>) {
    let phones = ["phone_number", "secondary_phone"].map(|name| phone_key(text(fields, name)));
    (email_key(text(fields, "email")), phones.into_iter().flatten().collect())
}

/// Whether the names allow for the same person: equal where both have one.
fn is_same_name(a: &Fields, b: &Fields) -> bool {
    let full = |fields: &Fields| {
        let parts = [text(fields, "firstname"), text(fields, "lastname")].join(" ");
        let name = if parts.trim().is_empty() { text(fields, "name").to_owned() } else { parts };
        name.trim().to_lowercase()
    };
    let (a, b) = (full(a), full(b));
    a.is_empty() || b.is_empty() || a == b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imp_1_phones_compare_by_digits_and_extension() {
        assert_eq!(phone_key("001-307-937-7505x54026").as_deref(), Some("13079377505x54026"));
        assert_eq!(phone_key("(307) 937 7505"), phone_key("307.937.7505"));
        assert_eq!(phone_key("12345"), None);
        assert_ne!(phone_key("3079377505x1"), phone_key("3079377505x2"));
        assert_eq!(email_key(" Bob@Example.COM "), email_key("bob@example.com"));
    }
}
