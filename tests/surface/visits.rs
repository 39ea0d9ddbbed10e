//! The guide's visits are those that the methods print.

use std::collections::BTreeSet;

use decoupled::Method;
use decoupled::method::schedule::Schedule;

use crate::builtin;

#[test]
fn the_guide_shows_every_visit_as_it_is_printed() {
    let page = include_str!("../../src/guide/visits.rs");
    let text: String =
        page.lines().map(|line| line.trim_start_matches("//!").trim_start_matches(' ').to_owned() + "\n").collect();
    let methods: [(&str, Method<f64>); 13] = [
        ("`default`", Method::default()),
        ("`red_black()`", Method::red_black()),
        ("`joint(0.1)`", Method::joint(0.1)),
        ("`predictive_coding(4, 0.1)`", Method::predictive_coding(4, 0.1)),
        ("`incremental(3, 0.1)`", Method::incremental(3, 0.1)),
        ("`error_based(3, 0.1)`", Method::error_based(3, 0.1)),
        ("`local_targets(4)`", Method::local_targets(4)),
        ("`backprop_by_sweep()`", Method::backprop_by_sweep()),
        ("`in_flight(3, 8)`", Method::in_flight(3, 8)),
        ("`alm(0.5)`", Method::alm(0.5)),
        ("`mac(3)`", Method::mac(3)),
        ("`bcd(5.0)`", Method::bcd(5.0)),
        ("`admm(1.0)`", Method::admm(1.0)),
    ];
    // With settings of its own, which the page names.
    let names = methods.each_ref().map(|(name, _)| name.trim_matches('`').split('(').next().unwrap());
    assert_eq!(BTreeSet::from(names), builtin::methods::<f64>().into_iter().map(|(name, _)| name).collect());
    let visits = methods.into_iter().map(|(name, method)| (name, method.schedule(3)));
    let visits: Vec<_> = std::iter::once(("Backpropagation", Schedule::backprop(3))).chain(visits).collect();
    assert_eq!(text.matches("\n# ").count(), visits.len(), "every section is one of these");
    for (name, visit) in visits {
        let section = text
            .split("\n# ")
            .find(|section| section.lines().next() == Some(name))
            .unwrap_or_else(|| panic!("no {name}"));
        let shown = section.split("```text\n").nth(1).and_then(|rest| rest.split("\n```").next()).unwrap();
        let line = |line: &str| line.trim_end().trim_start().to_owned();
        assert_eq!(
            shown.lines().map(line).collect::<Vec<_>>(),
            visit.to_string().lines().map(line).collect::<Vec<_>>(),
            "{name}"
        );
    }
}
