//! Reading rows from a file, one at a time: CSV in whatever dialect it is written, JSON as an array or one object a line.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Serialize;
use syncline_core::Value;

use super::json_rows::JsonRows;

/// What a file is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Csv,
    Json,
}

/// How a file is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dialect {
    pub path: PathBuf,
    pub format: Format,
    /// Of CSV.
    pub delimiter: u8,
    /// Of CSV: lines end in CR LF.
    is_crlf: bool,
    /// Bytes of a byte order mark to leave out.
    bom_bytes: u64,
}

/// One row as it stands in the file.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Where it begins, from 1.
    pub line: u64,
    /// `(column, cell)` of the cells with something in them.
    pub cells: Vec<(usize, Value)>,
    /// Why the row cannot be read.
    pub broken: Option<String>,
    /// The row as CSV cells, for the error file.
    pub original: Vec<String>,
}

impl Dialect {
    /// Looks at the beginning of the file.
    pub fn sniff(path: &Path) -> anyhow::Result<Self> {
        let mut head = Vec::new();
        let mut file = open(path)?;
        file.by_ref()
            .take(SNIFF_BYTES)
            .read_to_end(&mut head)
            .with_context(|| format!("reading {}", path.display()))?;
        if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
            bail!("{} is written in UTF-16: save it as UTF-8 (\"CSV UTF-8\") first", path.display());
        }
        let bom_bytes = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let text = &head[bom_bytes..];
        let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
        let extension = path.extension().and_then(|text| text.to_str()).unwrap_or_default().to_ascii_lowercase();
        let is_json = match extension.as_str() {
            "json" | "ndjson" | "jsonl" => true,
            "csv" | "tsv" | "txt" => false,
            _ => matches!(first, Some(b'{' | b'[')),
        };
        let format = if is_json { Format::Json } else { Format::Csv };
        let (delimiter, is_crlf) = first_line(text);
        Ok(Self { path: path.to_owned(), format, delimiter, is_crlf, bom_bytes: bom_bytes as u64 })
    }

    /// Reads the file from its beginning.
    pub fn rows(&self) -> anyhow::Result<Rows> {
        let mut file = open(&self.path)?;
        file.seek(SeekFrom::Start(self.bom_bytes))?;
        let reader = BufReader::with_capacity(1 << 18, file);
        match self.format {
            Format::Csv => CsvRows::new(reader, self.delimiter, self.is_crlf).map(Rows::Csv),
            Format::Json => Ok(Rows::Json(JsonRows::new(reader)?)),
        }
    }
}

const SNIFF_BYTES: u64 = 64 * 1024;

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("opening {} failed", path.display()))
}

/// The candidate that splits the first line most often, quoted text apart (a comma when none does), and whether the line
/// ends in CR LF.
fn first_line(text: &[u8]) -> (u8, bool) {
    let mut counts = [0_usize; CANDIDATES.len()];
    let (mut is_quoted, mut is_crlf) = (false, false);
    for byte in text {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' | b'\r' if !is_quoted => {
                is_crlf = *byte == b'\r';
                break;
            }
            byte if !is_quoted => {
                if let Some(index) = CANDIDATES.iter().position(|candidate| candidate == byte) {
                    counts[index] += 1;
                }
            }
            _ => {}
        }
    }
    let best = (0..CANDIDATES.len()).rev().max_by_key(|index| counts[*index]).unwrap_or(0);
    (CANDIDATES[best], is_crlf)
}

const CANDIDATES: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Rows of a file, in order.
pub enum Rows {
    Csv(CsvRows),
    Json(JsonRows<BufReader<File>>),
}

impl Rows {
    /// The column names: of CSV all of them, of JSON those seen so far.
    pub fn headers(&self) -> &[String] {
        match self {
            Rows::Csv(rows) => &rows.headers,
            Rows::Json(rows) => rows.headers(),
        }
    }
    pub fn next_row(&mut self) -> anyhow::Result<Option<Row>> {
        match self {
            Rows::Csv(rows) => rows.next_row(),
            Rows::Json(rows) => rows.next_row(),
        }
    }
    /// Bytes read so far, for a progress bar.
    pub fn position(&self) -> u64 {
        match self {
            Rows::Csv(rows) => rows.record.position().map_or(0, csv::Position::byte),
            Rows::Json(rows) => rows.position(),
        }
    }
}

pub struct CsvRows {
    reader: csv::Reader<BufReader<File>>,
    headers: Vec<String>,
    record: csv::ByteRecord,
    /// The reader notes where a row begins before it has taken the LF of the CR LF before it.
    line_offset: u64,
    is_done: bool,
}

impl CsvRows {
    fn new(reader: BufReader<File>, delimiter: u8, is_crlf: bool) -> anyhow::Result<Self> {
        let mut builder = csv::ReaderBuilder::new();
        let mut reader = builder.delimiter(delimiter).flexible(true).buffer_capacity(1 << 16).from_reader(reader);
        let names = reader.byte_headers()?.iter().enumerate();
        let headers = names.map(|(index, name)| header(index, name)).collect();
        let record = csv::ByteRecord::new();
        Ok(Self { reader, headers, record, line_offset: u64::from(is_crlf), is_done: false })
    }

    fn next_row(&mut self) -> anyhow::Result<Option<Row>> {
        if self.is_done || !self.reader.read_byte_record(&mut self.record)? {
            self.is_done = true;
            return Ok(None);
        }
        let line = self.record.position().map_or(0, csv::Position::line) + self.line_offset;
        let mut row = Row { line, cells: Vec::new(), broken: None, original: Vec::new() };
        for (index, cell) in self.record.iter().enumerate() {
            match std::str::from_utf8(cell) {
                Ok("") => row.original.push(String::new()),
                Ok(text) => {
                    row.original.push(text.to_owned());
                    row.cells.push((index, Value::String(text.to_owned())));
                }
                Err(_) => {
                    row.original.push(String::from_utf8_lossy(cell).into_owned());
                    let column = self.headers.get(index).map_or("?", String::as_str);
                    row.broken = Some(format!("the cell in column `{column}` is not UTF-8 text"));
                }
            }
        }
        let width = self.headers.len();
        if row.broken.is_none() && row.cells.iter().any(|(index, _)| *index >= width) {
            row.broken = Some(format!("the row has {} cells, the header {width}", self.record.len()));
        }
        Ok(Some(row))
    }
}

/// A header as written, without white space around it; a column without one is called by its number.
fn header(index: usize, name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name).trim().to_owned();
    if name.is_empty() { format!("column {}", index + 1) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imp_1_the_delimiter_is_found_outside_quotes() {
        assert_eq!(first_line(b"a;b;c\n1,2;3;4"), (b';', false));
        assert_eq!(first_line(b"\"a;x;y;z\",b\r\n"), (b',', true));
        assert_eq!(first_line(b"a\tb\n").0, b'\t');
        assert_eq!(first_line(b"a|b|c,d\n").0, b'|');
        assert_eq!(first_line(b"single\n").0, b',');
    }
}
