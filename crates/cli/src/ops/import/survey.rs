//! The first look at a file, before anything is planned: what columns it has, what is in them, and what its hash is.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use syncline_core::Value;

use super::dates::Evidence;
use super::identity::hex;
use super::source::Dialect;

/// What a file holds. Its size does not depend on the number of rows.
#[derive(Clone, Debug)]
pub struct Survey {
    pub file_sha256: String,
    pub bytes: u64,
    pub rows: u64,
    pub headers: Vec<String>,
    /// One per header.
    pub columns: Vec<Column>,
}

#[derive(Clone, Default, Debug)]
pub struct Column {
    /// Cells with something in them.
    pub filled: u64,
    /// The first different ones.
    pub samples: Vec<String>,
    pub dates: Evidence,
}

const SAMPLES: usize = 3;
const SAMPLE_CHARS: usize = 40;

impl Survey {
    pub fn take(dialect: &Dialect) -> anyhow::Result<Self> {
        let (file_sha256, bytes) = hash_file(&dialect.path)?;
        let mut rows = dialect.rows()?;
        let mut survey = Self { file_sha256, bytes, rows: 0, headers: Vec::new(), columns: Vec::new() };
        while let Some(row) = rows.next_row()? {
            survey.rows += 1;
            for (index, cell) in &row.cells {
                if survey.columns.len() <= *index && row.broken.is_none() {
                    survey.columns.resize(index + 1, Column::default());
                }
                if let Some(column) = survey.columns.get_mut(*index) {
                    column.note(cell);
                }
            }
        }
        survey.headers = rows.headers().to_vec();
        survey.columns.resize(survey.headers.len(), Column::default());
        Ok(survey)
    }
}

impl Column {
    fn note(&mut self, cell: &Value) {
        self.filled += 1;
        let text = cell.as_str();
        if let Some(text) = text.filter(|text| text.len() <= 32 && text.starts_with(|c: char| c.is_ascii_digit())) {
            self.dates.note(text);
        }
        if self.samples.len() < SAMPLES {
            let shown = text.map_or_else(|| cell.to_string(), str::to_owned);
            let shown: String =
                shown.chars().take(SAMPLE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
            if !self.samples.contains(&shown) {
                self.samples.push(shown);
            }
        }
    }
}

fn hash_file(path: &Path) -> anyhow::Result<(String, u64)> {
    let mut file = File::open(path).with_context(|| format!("opening {} failed", path.display()))?;
    let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer).with_context(|| format!("reading {} failed", path.display()))?;
        if read == 0 {
            return Ok((hex(&hasher.finalize()), bytes));
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}
