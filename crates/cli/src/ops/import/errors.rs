//! The file of rows that need a look: line, result, reason and the row as it was, ready to be corrected and imported.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::ops::formula;

/// Headers before those of the file itself; an import ignores them.
pub const HEADERS: [&str; 3] = ["import_line", "import_result", "import_reason"];

/// Appends to the error file; made when the first row needs it.
pub struct ErrorFile {
    path: PathBuf,
    headers: Vec<String>,
    file: Option<File>,
}

/// One row that needs a look.
pub struct ErrorRow<'a> {
    pub line: u64,
    pub result: &'a str,
    pub reason: &'a str,
    pub original: &'a [String],
}

impl ErrorFile {
    /// `bytes`: length up to which the rows of an interrupted import are already in it; the rest is cut off.
    pub fn open(path: &Path, headers: &[String], bytes: u64) -> anyhow::Result<Self> {
        let mut errors = Self { path: path.to_owned(), headers: headers.to_vec(), file: None };
        if bytes > 0 {
            let file = OpenOptions::new().create(true).write(true).truncate(false).open(path);
            let mut file = file.with_context(|| format!("opening {} failed", path.display()))?;
            file.set_len(bytes)?;
            file.seek(SeekFrom::End(0))?;
            errors.file = Some(file);
        } else if path.exists() {
            std::fs::remove_file(path).with_context(|| format!("replacing {} failed", path.display()))?;
        }
        Ok(errors)
    }

    /// The rows as CSV, with the header when they are the first.
    pub fn encode<'a>(&self, is_first: bool, rows: impl Iterator<Item = ErrorRow<'a>>) -> anyhow::Result<Vec<u8>> {
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        let mut is_first = is_first;
        for row in rows {
            if std::mem::take(&mut is_first) {
                writer.write_record(HEADERS.into_iter().chain(self.headers.iter().map(String::as_str)))?;
            }
            let line = row.line.to_string();
            let cells = [line.as_str(), row.result, row.reason].map(std::borrow::Cow::Borrowed);
            let original = row.original.iter().map(|cell| formula::guard(cell));
            writer.write_record(cells.into_iter().chain(original).map(|cell| cell.into_owned()))?;
        }
        Ok(writer.into_inner()?)
    }

    /// Writes behind the first `after` bytes; what a commit that was begun anew left there goes.
    pub fn append(&mut self, after: u64, bytes: &[u8]) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None if bytes.is_empty() => return Ok(()),
            empty => {
                if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    std::fs::create_dir_all(folder)?;
                }
                empty.insert(File::create(&self.path)?)
            }
        };
        file.set_len(after)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    /// Where it lies, once there is a row in it.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }
}
