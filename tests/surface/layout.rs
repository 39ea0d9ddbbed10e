//! The layout of the sources is the layout of the method: what a file may read, which the compiler would not refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up. A file imports what stands in rows below its own, and belongs to the longest name here that begins its path.
const ROWS: [&[&str]; 47] = [
    &["layer::shape"],
    &["error"],
    &["table", "machine::crc", "machine::parallel"],
    &["machine::linalg"],
    &["machine::setting", "machine::random", "machine::file"],
    &["description"],
    &["layer", "loss", "optimizer"],
    &["bank"],
    &["data"],
    &["metrics"],
    &["method::draws"],
    // The method, in reading order: a circuit and the activations of a block, the objective over both, steps, and a visit as data.
    &["method::start", "method::coupling", "method::block", "method::flight_plan"],
    // Layers are called there and nowhere else, the losses of the objective's terms in `energy`.
    &["method::circuit"],
    &["method::energy"],
    &["method::backprop"],
    &["method::schedule"],
    // Z with Θ fixed, and Θ with Z fixed: neither knows the other. That crossing is the method.
    &["method::activation_step", "method::parameter_step"],
    &["method"],
    &["method::presets"],
    &["description::registry"],
    &["network"],
    &["network::initialise"],
    &["network::isometry"],
    &["network::infer"],
    &["network::builder"],
    // One visit of a batch.
    &["train::augmented", "train::missing", "train::reduce"],
    &["train::tally"],
    &["train::engine"],
    &["diagnostics"],
    &["train::finish"],
    &["train::epoch"],
    &["train::warning"],
    &["observer"],
    &["model"],
    &["persist"],
    &["observer::checkpoint"],
    &["train::fit"],
    &["train"],
    &["pipeline"],
    &["search"],
    &["check"],
    &["network::summary"],
    &["network::prediction"],
    &["plot"],
    &["guide"],
    &["machine"],
    &["lib"],
];

/// Rows whose files need one another.
const MUTUAL: [&[&str]; 1] = [&["layer", "loss", "optimizer"]];

/// All sources but the root, with their text: without comments and tests.
pub(crate) fn sources() -> Vec<(PathBuf, String)> {
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
        let code = text.split("\nmod tests").next().unwrap().lines();
        code.map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
    };
    paths.iter().map(|path| (path.clone(), text(path))).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The path of a file's module.
fn module(path: &Path) -> String {
    let parts = path.strip_prefix(root()).unwrap().with_extension("");
    let parts: Vec<_> = parts.iter().map(|part| part.to_str().unwrap()).collect();
    parts.join("::")
}

/// The text of this module with paths that begin at its parents, `super::`, written from the root.
fn from_root(text: &str, module: &str) -> String {
    let parents = std::iter::successors(Some(module), |module| module.rsplit_once("::").map(|(parent, _)| parent));
    let mut parents: Vec<String> = parents.skip(1).map(|parent| format!("crate::{parent}::")).collect();
    parents.push("crate::".to_owned());
    // The longest chains first: a short one ends each of them.
    let chains = parents.iter().enumerate().rev().map(|(i, parent)| ("super::".repeat(i + 1), parent));
    chains.fold(text.to_owned(), |text, (chain, parent)| text.replace(&chain, parent))
}

/// The longest name in the layout that begins a path.
fn place(path: &str) -> String {
    let begins = |name: &str| path == name || path.strip_prefix(name).is_some_and(|rest| rest.starts_with("::"));
    let known = ROWS.iter().flat_map(|row| row.iter()).filter(|name| begins(name)).max_by_key(|name| name.len());
    known.unwrap_or_else(|| panic!("{path} has no place in the layout")).to_string()
}

/// The names that the crate's root re-exports, and the modules they come from, as `lib.rs` has them.
fn reexports() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("lib.rs")).unwrap();
    let uses = text.split("\npub use ").skip(1).map(|rest| rest.split(';').next().unwrap());
    let paths = uses.flat_map(paths);
    paths.filter_map(|path| path.rsplit_once("::").map(|(from, name)| (name.to_owned(), from.to_owned()))).collect()
}

/// The paths of a list such as `a::{b, c::{d, e}}`, up to the first character that belongs to no path.
fn paths(tree: &str) -> Vec<String> {
    let head: String = tree.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
    let Some(list) = tree[head.len()..].strip_prefix('{') else { return vec![head] };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (i, c) in list.char_indices() {
        let ends = depth == 0 && (c == ',' || c == '}');
        if ends && !list[start..i].trim().is_empty() {
            found.extend(paths(list[start..i].trim()).into_iter().map(|path| format!("{head}{path}")));
        }
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = i + 1,
            _ => {}
        }
    }
    found
}

/// The paths that a text names after `crate::`, in imports and in expressions, with the root's own names at their homes.
fn named(text: &str, reexports: &BTreeMap<String, String>) -> BTreeSet<String> {
    let found = text.split("crate::").skip(1).flat_map(paths);
    let home = |path: String| {
        let (head, rest) = path.split_once("::").unwrap_or((&path, ""));
        // A module that the root shows elsewhere than where it lies, and a name.
        reexports.get(head).map_or(path.clone(), |from| format!("{from}::{head}::{rest}"))
    };
    found.map(home).collect()
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
    let (mut seen, mut breaches) = (0, Vec::new());
    for (path, text) in sources() {
        let own = module(&path);
        let text = from_root(&text, &own);
        let own = place(&own);
        let here = row(&own);
        for import in named(&text, &reexports) {
            if OTHERS.contains(&&*import) {
                continue;
            }
            let import = place(&import);
            if import == own {
                continue;
            }
            let mutual = MUTUAL.iter().any(|row| row.contains(&&*own) && row.contains(&&*import));
            if row(&import) >= here && !mutual {
                breaches.push(format!("{} imports {import}", path.display()));
            }
            seen += 1;
        }
    }
    assert_eq!(breaches, [""; 0]);
    assert!(seen > 300, "only {seen} imports were found");
}

#[test]
fn paths_and_lists_of_any_form_are_seen() {
    let reexports = BTreeMap::from([("Error".to_owned(), "error".to_owned())]);
    let text = "use crate::{Error, linalg::{self, dot}, a::block};\nfn f() { crate::fit::g(); crate::Error::h() }";
    let found: Vec<String> = named(text, &reexports).into_iter().collect();
    assert_eq!(found, ["a::block", "error::Error::", "error::Error::h", "fit::g", "linalg::dot", "linalg::self"]);
}

#[test]
fn paths_that_begin_at_a_parent_are_seen() {
    let text = "use super::{A, b::C};\nuse super::super::d;\nuse super::super::super::e;";
    let found = from_root(text, "x::y::z");
    assert_eq!(found, "use crate::x::y::{A, b::C};\nuse crate::x::d;\nuse crate::e;");
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
    let calls = [
        "layer.forward(",
        "layer.input_gradient(",
        "layer.param_gradient(",
        "].forward(",
        "].input_gradient(",
        ".noisy_forward(",
    ];
    // Layers that are made of layers, and the checks of a user's own.
    let allowed = ["method/circuit.rs", "layer/", "check/"];
    assert_eq!(callers(&calls, &allowed), [""; 0]);
    assert!(!callers(&calls, &["layer/", "check/"]).is_empty(), "the circuit calls them by other names");
}

#[test]
fn the_objective_alone_calls_the_losses_of_its_terms() {
    let calls = ["loss.value(", "loss.gradient(", ".target_gradient(", ".hessian_product(", "loss::total("];
    // Losses themselves, one over a part of the rows, the checks of a user's own, and the best constant output, which has no network.
    let allowed = ["method/energy.rs", "loss", "network/infer/known.rs", "check/", "train/warning/baseline.rs"];
    let found = callers(&calls, &allowed);
    let own = |line: &String| line.contains("objective.") || line.contains("fn ");
    assert!(found.iter().all(own), "{found:#?}");
    assert!(callers(&calls, &["loss", "check/"]).iter().any(|line| line.starts_with("method/energy.rs")));
}
