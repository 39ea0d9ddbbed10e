//! `--name value` and `--flag` from the command line.

use std::fmt::Display;
use std::process::exit;
use std::str::FromStr;

use decoupled::Error;

/// What is left of the command line, while the example takes its options from it.
pub(crate) struct Options {
    words: Vec<String>,
}

impl Options {
    /// The command line; `--help` prints the usage and ends the program.
    pub(crate) fn from_command_line(usage: &str) -> Self {
        let words: Vec<_> = std::env::args().skip(1).collect();
        if words.iter().any(|word| ["-h", "--help"].contains(&&**word)) {
            println!("{usage}");
            exit(0);
        }
        Self { words }
    }

    /// Whether `--name` is there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        self.position(name).map(|at| self.words.remove(at)).is_some()
    }

    /// The value after `--name`, if it is there.
    pub(crate) fn optional<V: FromStr>(&mut self, name: &str) -> Option<V> {
        let at = self.position(name)?;
        self.words.remove(at);
        if at == self.words.len() {
            refuse(format!("--{name} needs a value"));
        }
        let word = self.words.remove(at);
        Some(word.parse().unwrap_or_else(|_| refuse(format!("--{name} does not take {word:?}"))))
    }

    /// The value after `--name`, or the default.
    pub(crate) fn value<V: FromStr>(&mut self, name: &str, default: V) -> V {
        self.optional(name).unwrap_or(default)
    }

    /// The number after `--name`, or the default; at least 1.
    pub(crate) fn count(&mut self, name: &str, default: usize) -> usize {
        match self.value(name, default) {
            0 => refuse(format!("--{name} takes at least 1")),
            count => count,
        }
    }

    /// Refuses what no option has taken.
    pub(crate) fn finish(self) {
        if let Some(word) = self.words.first() {
            refuse(format!("{word}: unknown, given twice, or of no use beside the other options; --help lists them"));
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.words.iter().position(|word| word.strip_prefix("--") == Some(name))
    }
}

/// Ends the program over a mistake on the command line.
pub(crate) fn refuse(message: impl Display) -> ! {
    eprintln!("{message}");
    exit(2)
}

/// Ends the program over an error: 2 for a setting that was given on the command line, 1 for anything else.
pub(crate) fn fail(error: &Error) -> ! {
    eprintln!("{error}");
    exit(if matches!(error, Error::HyperParameter { .. } | Error::ZeroWidth { .. }) { 2 } else { 1 })
}
