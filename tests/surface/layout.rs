//! The layout of the sources is the layout of the method: what a file may read, which the compiler would not refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up. A file imports what stands in rows below its own.
const ROWS: [&[&str]; 32] = [
    &["scalar", "error", "matrix", "linalg", "parallel"],
    &["random", "table", "crc", "reduce"],
    &["file", "order"],
    &["layer", "loss", "optimizer", "description"],
    &["bank"],
    &["data"],
    &["metrics"],
    &["start", "coupling"],
    &["block"],
    // Layers are called there and nowhere else, the losses of the objective's terms in `energy`.
    &["circuit"],
    &["energy"],
    &["backprop"],
    // A visit as data.
    &["schedule"],
    // Z with Θ fixed, and Θ with Z fixed: neither knows the other. That crossing is the method.
    &["activation_step", "parameter_step"],
    &["method"],
    &["network"],
    &["initialise"],
    &["infer"],
    &["missing"],
    &["tally"],
    &["engine"],
    &["diagnostics", "finish"],
    &["epoch"],
    &["warning"],
    &["observer", "persist", "model"],
    &["fit"],
    &["pipeline"],
    &["search"],
    &["check"],
    &["summary"],
    &["plot"],
    &["guide"],
];

/// Rows whose files need one another: the scalars and their kernels, the registry of descriptions, and what files keep of
/// observers and models.
const MUTUAL: [&[&str]; 3] = [ROWS[0], ROWS[3], &["observer", "persist", "model"]];

/// All sources but the root, with their text: without comments and tests.
fn sources() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { collect(&path, found) } else { found.push(path) }
        }
    }
    let mut paths = Vec::new();
    collect(&root(), &mut paths);
    paths.retain(|path| path.extension().is_some_and(|e| e == "rs") && *path != root().join("lib.rs"));
    paths.sort();
    let text = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap().lines();
        code.map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
    };
    paths.iter().map(|path| (path.clone(), text(path))).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The module of the crate's root that a file belongs to.
fn module(path: &Path) -> String {
    let first =
        path.strip_prefix(root()).unwrap().components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The names that the crate's root re-exports, and the modules they come from, as `lib.rs` has them.
fn reexports() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("lib.rs")).unwrap();
    let mut found = BTreeMap::new();
    for line in text.split("\npub use ").skip(1) {
        let Some((from, names)) = line.split(';').next().unwrap().split_once("::") else { continue };
        for name in words(names) {
            found.insert(name.to_owned(), from.to_owned());
        }
    }
    found
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// The modules that a text names after `crate::`, in imports and in full paths.
fn named(text: &str, reexports: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        let heads: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => {
                // The head of each entry: nested lists are of one module.
                let (mut depth, mut start, mut heads) = (0, 0, Vec::new());
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            heads.push(&list[start..i]);
                            break;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            heads.push(&list[start..i]);
                            start = i + 1;
                        }
                        _ => {}
                    }
                }
                heads
            }
            None => vec![rest],
        };
        for head in heads.into_iter().filter_map(|head| words(head).next()) {
            found.insert(reexports.get(head).cloned().unwrap_or_else(|| head.to_owned()));
        }
    }
    found
}

fn row(module: &str) -> usize {
    let row = ROWS.iter().position(|row| row.contains(&module));
    row.unwrap_or_else(|| panic!("{module} has no place in the layout"))
}

/// Macros and crates' names that look like modules.
const OTHERS: [&str; 2] = ["Readme", "self"];

#[test]
fn every_file_imports_only_what_stands_below_it() {
    let reexports = reexports();
    let mut seen = 0;
    for (path, text) in sources() {
        let own = module(&path);
        let here = row(&own);
        for import in named(&text, &reexports) {
            if import == own || OTHERS.contains(&&*import) {
                continue;
            }
            let mutual = MUTUAL.iter().any(|row| row.contains(&&*own) && row.contains(&&*import));
            assert!(row(&import) < here || mutual, "{} imports {import}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 300, "only {seen} imports were found");
}

#[test]
fn paths_and_lists_of_any_form_are_seen() {
    let reexports = BTreeMap::from([("Error".to_owned(), "error".to_owned())]);
    let text = "use crate::{Error, linalg::{self, dot}, block};\nfn f() { crate::fit::g(); crate::Error::h() }";
    let found: Vec<String> = named(text, &reexports).into_iter().collect();
    assert_eq!(found, ["block", "error", "fit", "linalg"]);
}

/// Lines outside of these files and folders that contain one of the calls.
fn callers(calls: &[&str], allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
        if !allowed.iter().any(|allowed| name.starts_with(allowed)) {
            let lines = text.lines().filter(|line| calls.iter().any(|call| line.contains(call)));
            found.extend(lines.map(|line| format!("{name}: {}", line.trim())));
        }
    }
    found
}

#[test]
fn the_circuit_alone_calls_the_layers_of_a_network() {
    let calls = ["layer.forward(", "layer.input_gradient(", "layer.param_gradient(", "].forward(", "].input_gradient("];
    // Layers that are made of layers, and the checks of a user's own.
    let allowed = ["circuit.rs", "layer/", "check/"];
    assert_eq!(callers(&calls, &allowed), [""; 0]);
    assert!(!callers(&calls, &["layer/", "check/"]).is_empty(), "the circuit calls them by other names");
}

#[test]
fn the_objective_alone_calls_the_losses_of_its_terms() {
    let calls = ["loss.value(", "loss.gradient(", ".target_gradient(", ".hessian_product(", "loss::total("];
    // Losses themselves, one over a part of the rows, the checks of a user's own, and the best constant output, which has no network.
    let allowed = ["energy.rs", "loss", "infer/known.rs", "check/", "warning/baseline.rs"];
    let found = callers(&calls, &allowed);
    let own = |line: &String| line.contains("objective.") || line.contains("fn ");
    assert!(found.iter().all(own), "{found:#?}");
    assert!(callers(&calls, &["loss", "check/"]).iter().any(|line| line.starts_with("energy.rs")));
}
