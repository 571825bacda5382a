//! What a person types into a search box, against a record's texts.

use syncline_core::Name;
use syncline_core::record::Record;
use syncline_core::schema::{Entity, FieldType};

use crate::http::problem::ApiResult;
use crate::http::query::{Query, invalid};

/// Words of a search: each must be found in one of the fields.
#[derive(Clone, Debug)]
pub struct Words {
    words: Vec<Word>,
    fields: Vec<Name>,
}

#[derive(Clone, Debug)]
struct Word {
    folded: String,
    /// Its digits, where it may be a part of a phone number.
    digits: Option<String>,
}

/// Fields that a search looks into, those that the entity has.
const FIELDS: [&str; 7] = ["firstname", "lastname", "name", "email", "phone_number", "secondary_phone", "company_name"];
/// Words of one search. More: `validation`.
const WORDS_MAX: usize = 8;
/// Characters of one search. More: `validation`.
const CHARS_MAX: usize = 200;
/// Digits from which a word is compared as a part of a phone number.
const DIGITS_MIN: usize = 4;

const EXACT: u32 = 4;
const BEGINNING: u32 = 2;
const INSIDE: u32 = 1;

impl Words {
    /// Takes `q`; `None`: it is absent.
    pub fn take(query: &mut Query, entity: &Entity) -> ApiResult<Option<Self>> {
        let Some(text) = query.take("q") else { return Ok(None) };
        let words: Vec<Word> = text.split_whitespace().map(Word::new).collect();
        if words.is_empty() || words.len() > WORDS_MAX || text.chars().count() > CHARS_MAX {
            return Err(invalid("q", &format!("has 1 to {WORDS_MAX} words and at most {CHARS_MAX} characters")));
        }
        let is_text =
            |name: &&&str| entity.field(name).is_some_and(|field| matches!(field.kind, FieldType::Text { .. }));
        let fields = FIELDS.iter().filter(is_text).map(|name| Name::new(*name)).collect();
        Ok(Some(Self { words, fields }))
    }

    /// How well a record fits: more is better; `None`: a word is not found.
    pub fn score(&self, record: &Record) -> Option<u32> {
        let texts = self.fields.iter().filter_map(|field| record.fields.get(field)?.as_str());
        let texts: Vec<String> = texts.map(str::to_lowercase).collect();
        self.words.iter().map(|word| texts.iter().filter_map(|text| word.score(text)).max()).sum()
    }
}

impl Word {
    fn new(text: &str) -> Self {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let is_number = text.chars().all(|char| char.is_ascii_digit() || "+-()./".contains(char));
        let digits = (is_number && digits.len() >= DIGITS_MIN).then(|| digits.trim_start_matches('0').to_owned());
        Self { folded: text.to_lowercase(), digits }
    }

    fn score(&self, text: &str) -> Option<u32> {
        let begins = |part: &str| part.starts_with(&self.folded);
        if text == self.folded {
            return Some(EXACT);
        }
        if begins(text) || text.split(|char: char| !char.is_alphanumeric()).any(begins) {
            return Some(BEGINNING);
        }
        let is_inside = text.contains(&self.folded);
        let has_digits = || {
            let of_text: String = text.chars().filter(char::is_ascii_digit).collect();
            self.digits.as_ref().is_some_and(|digits| text.starts_with('+') && of_text.contains(digits.as_str()))
        };
        (is_inside || has_digits()).then_some(INSIDE)
    }
}

#[cfg(test)]
mod tests {
    use syncline_core::Value;
    use syncline_core::id::{RecordId, ScopeId};
    use syncline_core::record::{Version, Versions};
    use syncline_core::schema::Schema;

    use super::*;

    #[test]
    fn api_2_every_word_is_found_somewhere_and_better_places_count_more() {
        let schema = Schema::crm();
        let contacts = schema.entity("contacts").unwrap();
        let score = |query: &str, fields: &[(&'static str, &str)]| {
            let mut query =
                Query::parse(Some(&format!("q={}", query.replace(' ', "+").replace("_plus_", "%2B")))).unwrap();
            let words = Words::take(&mut query, contacts).unwrap().unwrap();
            let fields = fields.iter().map(|(name, text)| (Name::new_static(name), Value::from(*text)));
            words.score(&record(fields.collect()))
        };
        let ada = [
            ("firstname", "Ada"),
            ("lastname", "Lovelace"),
            ("email", "ada@analytical.example"),
            ("phone_number", "+441632960123"),
        ];
        for (query, expected) in [
            ("ada", Some(EXACT)),
            ("ADA LOVE", Some(EXACT + BEGINNING)),
            ("analytical", Some(BEGINNING)),
            ("velac", Some(INSIDE)),
            ("ada@analytical.example", Some(EXACT)),
            ("_plus_441632960123", Some(EXACT)),
            ("01632-960123", Some(INSIDE)),
            ("960123", Some(INSIDE)),
            ("ada babbage", None),
            ("123", Some(INSIDE)),
        ] {
            assert_eq!(score(query, &ada), expected, "{query}");
        }
        assert_eq!(score("m\u{fc}ller", &[("lastname", "M\u{dc}LLER")]), Some(EXACT));
        assert_eq!(score("note", &[("lead_source", "note")]), None, "a field that is not searched");
    }

    fn record(fields: syncline_core::Fields) -> Record {
        Record {
            entity: Name::new_static("contacts"),
            id: RecordId::from_u128(1),
            rv: 1,
            scope: ScopeId::team("1"),
            entered: 1,
            is_deleted: false,
            fields: fields.into(),
            versions: Versions::new(Version(1, 1)),
        }
    }
}
