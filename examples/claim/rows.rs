//! What has been measured so far: one JSON object a line, so that a run that was cut off goes on where it stopped.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// One measurement: names and numbers.
pub(crate) type Row = Map<String, Value>;

/// The rows of finished units, on disk and in memory.
pub(crate) struct Log {
    path: PathBuf,
    rows: Vec<Row>,
}

/// The key of the row that ends a unit; rows of a unit without one are not of use.
const DONE: &str = "done";

impl Log {
    /// Reads `results.jsonl` in this folder, and makes both where they are not there.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join("results.jsonl");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        // The last line may be torn.
        let all: Vec<Row> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let mut log = Self { path, rows: Vec::new() };
        let done: Vec<Value> = all.iter().filter(|row| row.contains_key(DONE)).map(|row| row["unit"].clone()).collect();
        log.rows = all.into_iter().filter(|row| row.get("unit").is_some_and(|unit| done.contains(unit))).collect();
        let lines: String = log.rows.iter().map(line).collect();
        if lines != text {
            fs::write(&log.path, lines)?;
        }
        Ok(log)
    }

    /// Whether this unit has been measured.
    pub(crate) fn has(&self, unit: &str) -> bool {
        self.rows.iter().any(|row| row.get("unit").is_some_and(|own| own == unit))
    }

    /// Adds all rows of a unit.
    pub(crate) fn add(&mut self, unit: &str, rows: Vec<Row>) -> io::Result<()> {
        let end = row([(DONE, true.into())]);
        let own = rows.into_iter().chain([end]).map(|mut row| {
            row.insert("unit".to_owned(), unit.into());
            row
        });
        let own: Vec<Row> = own.collect();
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(own.iter().map(line).collect::<String>().as_bytes())?;
        file.sync_data()?;
        self.rows.extend(own);
        Ok(())
    }

    /// The rows of a unit.
    pub(crate) fn of<'a>(&'a self, unit: &'a str) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| row["unit"] == unit && !row.contains_key(DONE))
    }
}

fn line(row: &Row) -> String {
    format!("{}\n", Value::Object(row.clone()))
}

pub(crate) fn row<const N: usize>(entries: [(&str, Value); N]) -> Row {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A number of a row; none where it has none.
pub(crate) fn number(row: &Row, key: &str) -> Option<f64> {
    row.get(key).and_then(Value::as_f64)
}

/// A word of a row.
pub(crate) fn word<'a>(row: &'a Row, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}
