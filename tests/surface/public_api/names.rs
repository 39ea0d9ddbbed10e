use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Traits that are public for the compiler's sake and cannot be named: what makes `Scalar` sealed.
const SEALED: [&str; 3] = [
    "machine/linalg/scalar.rs: Sealed",
    "machine/linalg/functions.rs: Precision",
    "machine/linalg/product.rs: Vectors",
];

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

/// A name that a source makes public.
struct Name {
    name: String,
    /// The type or trait that it belongs to, or itself.
    owner: String,
    /// Whether it is a function of a type, and whether that takes `self`.
    method: Option<bool>,
}

/// The type of an `impl` line: the first word behind the block's own parameters, or behind `for`.
fn implemented(line: &str) -> &str {
    let rest = line.split_once("> ").filter(|_| line.starts_with("impl<")).map_or(line, |(_, rest)| rest);
    let rest = rest.rsplit(" for ").next().unwrap_or_default().trim_start_matches("impl ");
    words(rest.split(['<', '{']).next().unwrap_or_default()).last().unwrap_or_default()
}

/// The names that a source makes public: items, methods of public traits, variants of public enums. The lint `unreachable_pub` says
/// that what is `pub` can be reached.
fn public(code: &str) -> Vec<Name> {
    let mut found = Vec::new();
    // The trait or enum that a line is in, or the type whose `impl`: all end at a brace in the first column.
    let mut inside: Option<(&str, &str)> = None;
    for (i, line) in code.lines().enumerate() {
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
                    let of = inside.filter(|(block, _)| *block == "impl" && kind == "fn").map(|(_, of)| of);
                    // What is between the parentheses may begin in the next line.
                    let head: String = code.lines().skip(i).take(2).collect();
                    let first = head.split_once('(').and_then(|(_, arguments)| arguments.split([',', ')', ':']).next());
                    let takes_self = words(first.unwrap_or_default()).last() == Some("self");
                    let method = of.map(|_| takes_self);
                    found.push(Name { name: name.to_owned(), owner: of.unwrap_or(name).to_owned(), method });
                    let opens = ["trait", "enum"].contains(&kind) && !line.starts_with(' ') && !line.ends_with('}');
                    inside = if opens { Some((kind, name)) } else { inside };
                }
            }
            (None, None) if line.starts_with("impl") && !line.ends_with('}') => {
                inside = Some(("impl", implemented(line)))
            }
            (None, Some(_)) if line.starts_with('}') => inside = None,
            (None, Some(("trait", name))) if line.starts_with("    fn ") => {
                let own = item.nth(1).unwrap().to_owned();
                found.push(Name { name: own, owner: name.to_owned(), method: None });
            }
            (None, Some(("enum", name))) if line.len() > 4 && line.as_bytes()[4].is_ascii_uppercase() => {
                let own = item.next().unwrap().to_owned();
                found.push(Name { name: own, owner: name.to_owned(), method: None });
            }
            _ => {}
        }
    }
    found
}

/// What stands before each call of a function of a type: a value and a dot, or the type and `::`.
fn calls<'c>(code: &'c str, name: &str) -> Vec<&'c str> {
    let before = |(at, _): (usize, &str)| {
        let (before, after) = code.split_at(at);
        let after = &after[name.len()..];
        let is_word = !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let is_method = before.ends_with('.') && (after.starts_with('(') || after.starts_with("::<"));
        (is_word && (is_method || before.ends_with("::"))).then_some(before)
    };
    code.match_indices(name).filter_map(before).collect()
}

#[test]
fn every_public_name_is_used_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let used = sources(&root.join("tests/surface/public_api")).into_iter().filter(|path| !path.ends_with("names.rs"));
    let text: String = used
        .map(|path| code(&path))
        .chain([code(&format!("{}/tests/surface/public_api.rs", root.display()))])
        .collect();
    let used: BTreeSet<&str> = words(&text).collect();
    let (mut names, mut sealed) = (BTreeMap::new(), BTreeSet::new());
    // The types that have a method of this name, and whether it takes `self`.
    let mut methods: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    for path in sources(&root.join("src")) {
        let file = path.rsplit_once("src/").unwrap().1.to_owned();
        for Name { name, owner, method } in public(&code(&path)) {
            // There to be read.
            if file == "guide.rs" || name == "guide" {
                continue;
            }
            if let Some(of) = SEALED.iter().find(|of| **of == format!("{file}: {owner}")) {
                sealed.insert(*of);
                continue;
            }
            if let Some(takes_self) = method {
                methods.entry(name.clone()).or_default().insert(owner, takes_self);
            }
            names.insert(name, file.clone());
        }
    }
    assert!(names.len() > 400 && sealed.len() == SEALED.len(), "{} names, {sealed:?}", names.len());
    let missing: Vec<_> = names.iter().filter(|(name, _)| !used.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{} names are not used: {missing:#?}", missing.len());
    // A word is no use, and one type's method is not another's: as many calls as there are types with a method of that name, and what
    // takes no `self` behind the name of its own.
    assert!(methods.len() > 250, "{} methods", methods.len());
    let unused = methods.iter().flat_map(|(name, owners)| {
        let calls = calls(&text, name);
        let is_of = |of: &str, before: &str| {
            let before = before.trim_end_matches("::").trim_end_matches("::<f64>").trim_end_matches("::<f32>");
            before.ends_with(of) || (of == "DecoupledNetwork" && before.ends_with("Net"))
        };
        let few = calls.len() < owners.len();
        let is_unused =
            |of: &str, takes_self: bool| few || !(takes_self || calls.iter().any(|before| is_of(of, before)));
        let unused = owners.iter().filter(|(of, takes_self)| is_unused(of, **takes_self));
        unused.map(|(of, _)| (of, name)).collect::<Vec<_>>()
    });
    let unused: BTreeSet<_> = unused.map(|(of, name)| format!("{of}::{name}")).collect();
    assert!(unused.is_empty(), "called less often than there are methods of the name: {unused:#?}");
}
