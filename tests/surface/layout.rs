//! The layout of the sources is the layout of the method: what a file may import, which the compiler would not refuse.

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up. A file imports what stands below it; files of one row only where the row allows it.
const ROWS: [(&[&str], bool); 11] = [
    (&["error", "scalar", "matrix", "linalg", "parallel", "random", "table", "crc", "file"], true),
    (&["layer", "loss", "optimizer", "bank", "data", "metrics", "description"], true),
    (&["start", "coupling"], false),
    (&["block"], false),
    // Layers are called there and nowhere else, the losses of the objective's terms in `energy`.
    (&["circuit"], false),
    (&["energy"], false),
    // A visit as data.
    (&["schedule"], false),
    // Z with Θ fixed, and Θ with Z fixed: neither knows the other. That crossing is the method.
    (&["activation_step", "parameter_step"], false),
    (&["method"], false),
    (&["network"], true),
    (
        &[
            "tally",
            "engine",
            "finish",
            "fit",
            "infer",
            "initialise",
            "missing",
            "warning",
            "backprop",
            "diagnostics",
            "check",
            "plot",
            "guide",
            "summary",
            "observer",
            "persist",
            "model",
            "pipeline",
            "search",
        ],
        true,
    ),
];

/// What the crate's root re-exports, and from where.
const ROOT: [(&str, &str); 47] = [
    ("Error", "error"),
    ("Result", "error"),
    ("Scalar", "scalar"),
    ("MatRef", "matrix"),
    ("MatMut", "matrix"),
    ("Layer", "layer"),
    ("Loss", "loss"),
    ("Optimizer", "optimizer"),
    ("ActivationBank", "bank"),
    ("BankFile", "bank"),
    ("Storage", "bank"),
    ("Dataset", "data"),
    ("Description", "description"),
    ("Observer", "observer"),
    ("Model", "model"),
    ("Pipeline", "pipeline"),
    ("Metric", "metrics"),
    ("Block", "block"),
    ("Group", "block"),
    ("Reads", "block"),
    ("ActivationStep", "activation_step"),
    ("Sweeps", "activation_step"),
    ("ErrorSteps", "activation_step"),
    ("GaussNewton", "activation_step"),
    ("Exact", "activation_step"),
    ("Order", "activation_step"),
    ("curvature", "activation_step"),
    ("Timing", "parameter_step"),
    ("ParameterStep", "parameter_step"),
    ("Ridge", "parameter_step"),
    ("Solver", "parameter_step"),
    ("Coupling", "coupling"),
    ("Multipliers", "coupling"),
    ("Penalty", "coupling"),
    ("Method", "method"),
    ("Start", "start"),
    ("DecoupledNetwork", "network"),
    ("NetworkBuilder", "network"),
    ("Scores", "network"),
    ("EpochReport", "fit"),
    ("FitConfig", "fit"),
    ("FitReport", "fit"),
    ("BankStart", "initialise"),
    ("Summary", "summary"),
    ("Evidence", "infer"),
    ("InferConfig", "infer"),
    ("Inference", "infer"),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The modules that a source imports from this crate, its tests left out.
fn imports(text: &str) -> Vec<&str> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code: Vec<&str> = text.split("use crate::").skip(1).filter_map(|rest| rest.split(';').next()).collect();
    let words = code.into_iter().flat_map(|list| list.split(|c: char| !(c.is_alphanumeric() || c == '_')));
    let module = |word| match ROOT.iter().find(|(name, _)| *name == word) {
        Some((_, module)) => Some(*module),
        None => ROWS.iter().flat_map(|(row, _)| *row).copied().find(|module| *module == word),
    };
    words.filter_map(module).collect()
}

#[test]
fn every_file_imports_only_what_stands_below_it() {
    let row = |module: &str| ROWS.iter().position(|(row, _)| row.contains(&module));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for path in sources(&root) {
        let first = path.strip_prefix(&root).unwrap().components().next().unwrap().as_os_str().to_string_lossy();
        let own = first.trim_end_matches(".rs").to_owned();
        if own == "lib" {
            continue;
        }
        let here = row(&own).unwrap_or_else(|| panic!("{own} has no place in the layout"));
        let text = fs::read_to_string(&path).unwrap();
        for import in imports(&text) {
            let there = row(import).unwrap();
            let allowed = there < here || import == own || (there == here && ROWS[here].1);
            assert!(allowed, "{} imports {import}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} imports were found");
}
