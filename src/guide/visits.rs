//! Every method stage by stage: where two of them differ.
//!
//! [`Method::schedule`](crate::Method::schedule) is the list of stages that a fit runs, and prints itself: here for networks of three layers
//! (`cargo run --release --example visits -- 3`). *In sequence* are the matrix products that wait for one another, *products* all of them,
//! each of a whole layer with a batch, if every activation and parameter moves; steps that overlap wait together, and an indented stage
//! counts all repetitions. [`diagnostics::cost`](crate::diagnostics::cost()) leaves out those with zeros.
//! Between two updates each lane of a batch runs by itself.
//!
//! # Backpropagation
//!
//! The chain rule: an error waits for all layers above it.
//!
//! ```text
//!                   in sequence  products
//! forward pass                3         3
//! chain rule                  2         2
//! gather θ_0 … θ_2            1         3
//! update θ_0 … θ_2
//! all                         6         8
//! ```
//!
//! # `default`
//!
//! Local targets with two steps: one sweep from the output sets the targets, then all layers step at once, and once more from the
//! parameters that they have reached; the first layer, whose products are often the most expensive, along the gradient that it has.
//!
//! ```text
//!                      in sequence  products
//! forward pass                   3         3
//! start: forward pass
//! measure z_1 … z_3
//! relax z_2                      1         1
//! relax z_1                      1         1
//! gather θ_0 … θ_2               1         3
//! update θ_0 … θ_2
//! gather θ_1 … θ_2               2         4
//! store
//! update θ_0 … θ_2
//! all                            8        12
//! ```
//!
//! # `red_black()`
//!
//! Predictive coding in red-black order: in a sweep only two groups of layers wait for one another.
//!
//! ```text
//!                      in sequence  products
//! forward pass                   3         3
//! start: forward pass
//! relax z_2                      1         1
//! relax z_1                      1         1
//! measure z_1 … z_3              0         2
//! relax z_2                      2         1
//! relax z_1                      1         1
//! gather θ_0 … θ_2               1         3
//! store
//! update θ_0 … θ_2
//! all                            9        12
//! ```
//!
//! # `joint(0.1)`
//!
//! The objective taken literally: two products in sequence at any depth.
//!
//! ```text
//!                    in sequence  products
//! start: bank
//! measure z_1 … z_3            0         3
//! gather θ_0 … θ_2             2         3
//! relax z_1 … z_2              1         2
//! store
//! update θ_0 … θ_2
//! all                          2         8
//! ```
//!
//! # `predictive_coding(4, 0.1)`
//!
//! The same steps for all layers at once, as many as you say.
//!
//! ```text
//!                      in sequence  products
//! forward pass                   3         3
//! start: forward pass
//! 3 times
//!   relax z_1 … z_2              5        10
//! measure z_1 … z_3              0         2
//! relax z_1 … z_2                2         2
//! gather θ_0 … θ_2               1         3
//! store
//! update θ_0 … θ_2
//! all                           11        20
//! ```
//!
//! # `incremental(3, 0.1)`
//!
//! Parameters move at every activation step: three barriers in a visit.
//!
//! ```text
//!                      in sequence  products
//! forward pass                   3         3
//! start: forward pass
//! 2 times
//!   gather θ_0 … θ_2             3         9
//!   relax z_1 … z_2              2         4
//!   update θ_0 … θ_2
//! measure z_1 … z_3              0         3
//! gather θ_0 … θ_2               2         3
//! relax z_1 … z_2                1         2
//! store
//! update θ_0 … θ_2
//! all                            8        24
//! ```
//!
//! # `error_based(3, 0.1)`
//!
//! Each step is a backward and a forward pass; a signal crosses all layers in one.
//!
//! ```text
//!                             in sequence  products
//! forward pass                          3         3
//! start: forward pass
//! 3 times
//!   relax z_1 … z_2 together           11        11
//! measure z_1 … z_3                     0         1
//! gather θ_0 … θ_2                      2         3
//! store
//! update θ_0 … θ_2
//! all                                  16        18
//! ```
//!
//! # `local_targets(4)`
//!
//! One sweep sets the targets, then every layer takes four steps by itself.
//!
//! ```text
//!                      in sequence  products
//! forward pass                   3         3
//! start: forward pass
//! measure z_1 … z_3
//! relax z_2                      1         1
//! relax z_1                      1         1
//! gather θ_0 … θ_2               1         3
//! update θ_0 … θ_2
//! 2 times
//!   gather θ_0 … θ_2             4        12
//!   update θ_0 … θ_2
//! gather θ_0 … θ_2               2         6
//! store
//! update θ_0 … θ_2
//! all                           12        26
//! ```
//!
//! # `backprop_by_sweep()`
//!
//! With one such step it has the gradients of backpropagation, and its sequence.
//!
//! ```text
//!                      in sequence  products
//! forward pass                   3         3
//! start: forward pass
//! measure z_1 … z_3
//! relax z_2                      1         1
//! relax z_1                      1         1
//! gather θ_0 … θ_2               1         3
//! store
//! update θ_0 … θ_2
//! all                            6         8
//! ```
//!
//! # `in_flight(3, 8)`
//!
//! The same sweep, which each layer joins when it gets there: the rows are the way of one micro-batch, and those before and behind it are in
//! other stages meanwhile.
//!
//! ```text
//!                      in sequence  products
//! forward pass                   3         3
//! start: forward pass
//! measure z_1 … z_3
//! relax z_2                      1         1
//! relax z_1                      1         1
//! gather θ_0 … θ_2               1         3
//! store
//! update θ_0 … θ_2
//! all                            6         8
//! in flight: stages: 3, examples of a micro-batch: at most 8; a tick has 2 products in sequence
//! ```
//!
//! # `alm(0.5)`
//!
//! The same sweep, with multipliers that the bank keeps.
//!
//! ```text
//!                      in sequence  products
//! forward pass                   3         3
//! start: forward pass
//! measure z_1 … z_3
//! relax z_2                      1         1
//! relax z_1                      1         1
//! gather θ_0 … θ_2               1         3
//! ascend multipliers
//! store
//! update θ_0 … θ_2
//! all                            6         8
//! ```
//!
//! # `mac(3)`
//!
//! A Gauss–Newton step on all activations. Its products depend on the outputs and on how far it goes, and are more than these.
//!
//! ```text
//!                           in sequence  products
//! start: bank
//! relax z_1 … z_2 together            4         6
//! measure z_1 … z_3                   0         1
//! gather θ_0 … θ_2                    2         3
//! update θ_0 … θ_2
//! gather θ_0 … θ_2                    2         6
//! update θ_0 … θ_2
//! gather θ_0 … θ_2                    2         6
//! store
//! update θ_0 … θ_2
//! all                                10        22
//! ```
//!
//! # `bcd(5.0)`
//!
//! Exact steps, layer by layer, in the bank itself. Regressions have no products of their own.
//!
//! ```text
//!              in sequence  products
//! start: bank
//! measure z_3            0         1
//! gather θ_2
//! update θ_2
//! measure z_2            0         1
//! solve z_2              1         0
//! gather θ_1
//! update θ_1
//! measure z_1            0         1
//! solve z_1              1         0
//! gather θ_0
//! update θ_0
//! store
//! all                    2         3
//! ```
//!
//! # `admm(1.0)`
//!
//! The same, with multipliers at the output.
//!
//! ```text
//!                     in sequence  products
//! start: bank
//! measure z_3                   0         1
//! gather θ_2
//! update θ_2
//! measure z_2                   0         1
//! solve z_2                     1         0
//! gather θ_1
//! update θ_1
//! measure z_1                   0         1
//! solve z_1                     1         0
//! gather θ_0
//! update θ_0
//! ascend multipliers
//! store
//! all                           2         3
//! ```
