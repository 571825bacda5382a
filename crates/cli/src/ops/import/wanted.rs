//! What a batch will read, so that a store that is a round trip away loads it at once. A guess: what it misses is read one by
//! one, and what it names in vain costs little.

use syncline_core::Name;
use syncline_core::change::Op;
use syncline_core::engine;
use syncline_core::id::RecordId;
use syncline_core::storage::Wanted;

use super::columns::{CONTACT, LEAD, external_field};
use super::content::{Content, RowContent};
use super::identity::{RowKey, primary_lead_id};
use super::plan::{Planner, new_status_option, primary_lead};
use super::state::{Counters, Import, ImportState};

impl Planner<'_> {
    /// What planning these rows and deciding their mutations will read.
    pub fn wanted(&self, import: &Import, contents: &[RowContent]) -> Wanted {
        let contents = || contents.iter().flatten().flatten();
        let progress = import.progress_op(0, &Counters::default(), ImportState::Running);
        let mutations = contents().map(|content| self.likely_ops(content)).chain([vec![progress]]);
        let request = import.push(self.workspace, 0, mutations);
        let mut wanted = engine::wanted(self.schema, self.workspace, &[request]);
        for content in contents() {
            self.want_matches(&mut wanted, content);
        }
        wanted
    }

    /// The row's ops if nothing of it is known.
    fn likely_ops(&self, content: &Content) -> Vec<Op> {
        let parts = &self.reading.mapping.parts;
        let id = content.key.record_id(self.workspace, &parts.0[CONTACT], 0);
        let mut ops =
            vec![Op::Create { entity: parts.0[CONTACT].clone(), id, fields: content.fields[CONTACT].clone() }];
        if self.reading.is_pair() {
            let (id, fields) = primary_lead(self.workspace, id, content.fields[LEAD].clone());
            ops.push(Op::Create { entity: parts.0[LEAD].clone(), id, fields });
            let option = content.status.as_ref().map(|label| new_status_option(self.workspace, label));
            let entity = Name::new_static("status_options");
            ops.extend(option.map(|(id, fields)| Op::Create { entity, id, fields }));
        }
        ops
    }

    /// The records that the row may turn out to be.
    fn want_matches(&self, wanted: &mut Wanted, content: &Content) {
        let entity = self.reading.mapping.parts.entity(self.schema, CONTACT);
        match &content.key {
            RowKey::External(external) => {
                let field = external_field(entity).map(Name::new_static);
                wanted.values.extend(field.map(|field| (entity.name.clone(), field, external.clone())));
            }
            RowKey::Unique(name, key) => {
                wanted.unique_keys.insert((entity.name.clone(), name.clone(), key.clone()));
            }
            RowKey::Id(_) | RowKey::Content(_) => {}
        }
        let candidates: Vec<RecordId> = self.known.candidates(&content.fields[CONTACT]).collect();
        let leads = candidates.iter().filter(|_| self.reading.is_pair());
        let leads = leads.map(|contact| (Name::new_static("leads"), primary_lead_id(self.workspace, *contact)));
        wanted.records.extend(leads);
        wanted.records.extend(candidates.iter().map(|contact| (Name::new_static("contacts"), *contact)));
    }
}
