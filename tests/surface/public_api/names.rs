use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Traits that are public for the compiler's sake and cannot be named: what makes `Scalar` sealed.
const SEALED: [&str; 3] = ["scalar.rs: Sealed", "linalg/functions.rs: Precision", "linalg/product.rs: Vectors"];

fn sources(folder: &Path) -> Vec<String> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path.display().to_string()] }).collect()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// Without comments, and without the tests at its end.
fn code(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// The names that a source makes public: items, methods of public traits, variants of public enums. The lint `unreachable_pub` says
/// that what is `pub` can be reached.
fn public(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    // The trait or enum that a line is in: both end at a brace in the first column.
    let mut inside: Option<(&str, &str)> = None;
    for line in code.lines() {
        let mut item = words(line).skip_while(|word| ["const", "unsafe"].contains(word));
        match (line.trim_start().strip_prefix("pub "), inside) {
            (Some(rest), _) => {
                let mut rest = words(rest).skip_while(|word| *word == "unsafe").peekable();
                let mut kind = rest.next().unwrap_or_default();
                if kind == "const" && rest.peek() == Some(&"fn") {
                    kind = rest.next().unwrap_or_default();
                }
                let name = rest.next().unwrap_or_default();
                if ["fn", "struct", "enum", "trait", "type", "mod", "const"].contains(&kind) && !line.contains('$') {
                    found.push((name.to_owned(), name.to_owned()));
                    let opens = ["trait", "enum"].contains(&kind) && !line.starts_with(' ') && !line.ends_with('}');
                    inside = if opens { Some((kind, name)) } else { inside };
                }
            }
            (None, Some(_)) if line.starts_with('}') => inside = None,
            (None, Some(("trait", name))) if line.starts_with("    fn ") => {
                found.push((item.nth(1).unwrap().to_owned(), name.to_owned()));
            }
            (None, Some(("enum", name))) if line.len() > 4 && line.as_bytes()[4].is_ascii_uppercase() => {
                found.push((item.next().unwrap().to_owned(), name.to_owned()));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn every_public_name_is_used_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let used = sources(&root.join("tests/surface/public_api")).into_iter().filter(|path| !path.ends_with("names.rs"));
    let used: String = used
        .map(|path| code(&path))
        .chain([code(&format!("{}/tests/surface/public_api.rs", root.display()))])
        .collect();
    let used: BTreeSet<&str> = words(&used).collect();
    let (mut names, mut sealed) = (BTreeMap::new(), BTreeSet::new());
    for path in sources(&root.join("src")) {
        let file = path.rsplit_once("src/").unwrap().1.to_owned();
        for (name, owner) in public(&code(&path)) {
            // There to be read.
            if file == "guide.rs" || name == "guide" {
                continue;
            }
            match SEALED.iter().find(|of| **of == format!("{file}: {owner}")) {
                Some(of) => drop(sealed.insert(*of)),
                None => drop(names.insert(name, file.clone())),
            }
        }
    }
    assert!(names.len() > 400 && sealed.len() == SEALED.len(), "{} names, {sealed:?}", names.len());
    let missing: Vec<_> = names.iter().filter(|(name, _)| !used.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{} names are not used: {missing:#?}", missing.len());
}
