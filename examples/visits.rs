//! The visit of every preset, and of backpropagation, stage by stage: where two methods differ. For three layers by default;
//! the argument is another number.
//!
//! ```text
//! cargo run --release --example visits -- 5
//! ```

use decoupled::Method;
use decoupled::method::schedule::Schedule;

fn main() {
    let depth = std::env::args().nth(1).map_or(Ok(3), |depth| depth.parse());
    let Ok(depth @ 1..=1000) = depth else {
        eprintln!("the number of layers is one of 1 to 1000");
        std::process::exit(2);
    };
    println!("backpropagation\n{}", Schedule::backprop(depth));
    let presets: [(&str, Method<f64>); 13] = [
        ("default", Method::default()),
        ("red_black()", Method::red_black()),
        ("joint(0.1)", Method::joint(0.1)),
        ("predictive_coding(4, 0.1)", Method::predictive_coding(4, 0.1)),
        ("incremental(3, 0.1)", Method::incremental(3, 0.1)),
        ("error_based(3, 0.1)", Method::error_based(3, 0.1)),
        ("local_targets(4)", Method::local_targets(4)),
        ("backprop_by_sweep()", Method::backprop_by_sweep()),
        ("in_flight(3, 8)", Method::in_flight(3, 8)),
        ("alm(0.5)", Method::alm(0.5)),
        ("mac(3)", Method::mac(3)),
        ("bcd(5.0)", Method::bcd(5.0)),
        ("admm(1.0)", Method::admm(1.0)),
    ];
    for (name, method) in presets {
        println!("\n{name}\n{}", method.schedule(depth));
    }
}
