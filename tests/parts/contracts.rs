//! Every rule of the checks can be broken, and is named where it is: a type for each contract, with the fault that its rule names.

use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Method, Result, check};

mod layer;
mod loss;
mod optimizer;

/// A check refuses each type by the rule that it is made to break, and takes the one that breaks none.
fn each_rule_is_named(rules: &[&'static str], check: impl Fn(&'static str) -> Result<()>) {
    check("none").unwrap();
    for &broken in rules {
        match check(broken) {
            Err(Error::Contract { rule, what, .. }) => assert_eq!(rule, broken, "{what}"),
            other => panic!("{broken}: {other:?}"),
        }
    }
}

#[test]
fn a_layer_that_breaks_a_rule_is_refused_by_the_name_of_the_rule() {
    each_rule_is_named(check::LAYER_RULES, |fault| check::layer(&layer::Faulty::new(fault)));
}

#[test]
fn a_loss_that_breaks_a_rule_is_refused_by_the_name_of_the_rule() {
    each_rule_is_named(check::LOSS_RULES, |fault| check::loss(&loss::Faulty::new(fault), 3));
}

#[test]
fn an_optimizer_that_breaks_a_rule_is_refused_by_the_name_of_the_rule() {
    each_rule_is_named(check::OPTIMIZER_RULES, |fault| check::optimizer(&optimizer::Faulty::new(fault)));
}

#[test]
fn a_regression_of_no_pre_activation_is_refused_by_the_check_by_a_start_and_by_a_fit() {
    let faulty = || layer::Faulty::new("no pre-activation");
    let builder = DecoupledNetwork::builder(4).layer(faulty()).dense(3, Activation::Identity).method(Method::bcd(0.1));
    let mut network = builder.threads(1).build().unwrap();
    let ones = |rows| Examples::from_row_slice(&vec![1.0; 2 * rows], 2, rows).unwrap();
    let data = Dataset::regression(ones(4), ones(3)).unwrap();
    let start = network.start_from_unit_variance(data.inputs(), 1.0);
    let fit = network.fit(&data, &FitConfig::new().epochs(1)).map(drop);
    for found in [check::layer(&faulty()), start, fit] {
        assert!(
            matches!(&found, Err(Error::Contract { what, .. }) if what == "the pre-activation has a row"),
            "{found:?}"
        );
    }
}

#[test]
fn no_two_rules_share_a_name() {
    let mut names = [check::LAYER_RULES, check::LOSS_RULES, check::OPTIMIZER_RULES].concat();
    let count = names.len();
    assert!(count >= 40, "only {count}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
