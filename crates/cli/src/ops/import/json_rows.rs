//! Objects from a JSON array or from lines, one at a time, whatever the size of the file.

use std::collections::HashMap;
use std::io::BufRead;

use anyhow::bail;
use serde_json::Map;
use syncline_core::Value;

use super::source::Row;

/// A larger object is refused, so that a broken file does not fill the memory.
const OBJECT_BYTES_MAX: usize = 4 << 20;

pub struct JsonRows<R> {
    reader: R,
    headers: Vec<String>,
    index_by_header: HashMap<String, usize>,
    is_array: bool,
    line: u64,
    position: u64,
    is_done: bool,
}

impl<R: BufRead> JsonRows<R> {
    pub fn new(reader: R) -> anyhow::Result<Self> {
        let mut rows = Self {
            reader,
            headers: Vec::new(),
            index_by_header: HashMap::new(),
            is_array: false,
            line: 1,
            position: 0,
            is_done: false,
        };
        if rows.peek_solid()? == Some(b'[') {
            rows.is_array = true;
            rows.take()?;
        }
        Ok(rows)
    }

    pub fn headers(&self) -> &[String] {
        &self.headers
    }
    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn next_row(&mut self) -> anyhow::Result<Option<Row>> {
        if self.is_done {
            return Ok(None);
        }
        let next = self.peek_solid()?;
        match (next, self.is_array) {
            (None, true) => bail!("line {}: the array is not closed: the file is cut off", self.line),
            (None, false) => {
                self.is_done = true;
                return Ok(None);
            }
            (Some(b']'), true) => {
                self.take()?;
                if let Some(byte) = self.peek_solid()? {
                    bail!("line {}: `{}` after the end of the array", self.line, char::from(byte));
                }
                self.is_done = true;
                return Ok(None);
            }
            (Some(_), _) => {}
        }
        let line = self.line;
        let text = if self.is_array { self.element()? } else { self.text_line()? };
        if self.is_array && self.peek_solid()? == Some(b',') {
            self.take()?;
        }
        Ok(Some(self.row(line, &text)))
    }

    fn row(&mut self, line: u64, text: &[u8]) -> Row {
        let mut row = Row { line, cells: Vec::new(), broken: None, original: Vec::new() };
        match serde_json::from_slice::<Map<String, Value>>(text) {
            Ok(object) => {
                for (key, value) in object {
                    let column = self.column(key);
                    let is_empty = value.is_null() || value.as_str() == Some("");
                    row.original.resize(row.original.len().max(column + 1), String::new());
                    row.original[column] = match &value {
                        Value::Null => String::new(),
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    if !is_empty {
                        row.cells.push((column, value));
                    }
                }
                row.cells.sort_by_key(|(column, _)| *column);
            }
            Err(error) => {
                row.broken = Some(format!("not a JSON object: {error}"));
                row.original = vec![String::from_utf8_lossy(text).into_owned()];
            }
        }
        row
    }

    fn column(&mut self, key: String) -> usize {
        if let Some(index) = self.index_by_header.get(&key) {
            return *index;
        }
        self.headers.push(key.clone());
        self.index_by_header.insert(key, self.headers.len() - 1);
        self.headers.len() - 1
    }

    /// Takes one element of the array: up to the `,` or `]` that ends it.
    fn element(&mut self) -> anyhow::Result<Vec<u8>> {
        let (mut text, mut depth, mut is_text, mut is_escaped) = (Vec::new(), 0_u32, false, false);
        loop {
            let Some(byte) = self.peek()? else { bail!("line {}: the file ends inside an object", self.line) };
            if !is_text && depth == 0 && matches!(byte, b',' | b']') {
                return Ok(text);
            }
            self.take()?;
            text.push(byte);
            if text.len() > OBJECT_BYTES_MAX {
                bail!("line {}: an object is larger than {OBJECT_BYTES_MAX} bytes", self.line);
            }
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_text => is_escaped = true,
                b'"' => is_text = !is_text,
                b'{' | b'[' if !is_text => depth += 1,
                b'}' | b']' if !is_text => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(text);
                    }
                }
                _ => {}
            }
        }
    }

    fn text_line(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut text = Vec::new();
        while let Some(byte) = self.take()? {
            if byte == b'\n' {
                break;
            }
            text.push(byte);
            if text.len() > OBJECT_BYTES_MAX {
                bail!("line {}: a line is longer than {OBJECT_BYTES_MAX} bytes", self.line);
            }
        }
        Ok(text)
    }

    fn peek(&mut self) -> anyhow::Result<Option<u8>> {
        Ok(self.reader.fill_buf()?.first().copied())
    }
    fn take(&mut self) -> anyhow::Result<Option<u8>> {
        let Some(byte) = self.peek()? else { return Ok(None) };
        self.reader.consume(1);
        self.position += 1;
        self.line += u64::from(byte == b'\n');
        Ok(Some(byte))
    }
    /// The next byte that is not white space; the white space is taken.
    fn peek_solid(&mut self) -> anyhow::Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.take()?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Vec<Row>> {
        let mut rows = JsonRows::new(text.as_bytes())?;
        let mut all = Vec::new();
        while let Some(row) = rows.next_row()? {
            all.push(row);
        }
        Ok(all)
    }

    #[test]
    fn imp_1_arrays_and_lines_give_the_same_rows() {
        let array = read("[ {\"a\": \"x]\\\"\", \"b\": [1,{\"c\":2}]} ,\n {\"a\": \"y\"} ]\n").unwrap();
        let lines = read("{\"a\": \"x]\\\"\", \"b\": [1,{\"c\":2}]}\n\n{\"a\": \"y\"}").unwrap();
        let cells = |rows: &[Row]| rows.iter().map(|row| row.cells.clone()).collect::<Vec<_>>();
        assert_eq!(cells(&array), cells(&lines));
        assert_eq!(array.len(), 2);
        assert_eq!(array[1].line, 2);
    }

    #[test]
    fn imp_1_a_broken_object_breaks_one_row_and_a_cut_file_is_refused() {
        let rows = read("{\"a\": 1}\n{\"a\": }\n{\"a\": 3}\n").unwrap();
        assert_eq!(rows.iter().map(|row| row.broken.is_some()).collect::<Vec<_>>(), [false, true, false]);
        assert!(read("[{\"a\": 1}, {\"a\"").is_err());
        assert!(read("[{\"a\": 1}").is_err());
        assert!(read("[{\"a\": 1}] x").is_err());
    }
}
