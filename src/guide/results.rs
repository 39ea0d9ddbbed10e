//! Results: accuracies, times and limits, each with the command that prints it.
//!
//! Accuracies are those of the test examples, in %. Times are in units of those of backpropagation (BP), which the same command
//! trains from the same parameters on the same batches, on two threads; a cell without a number was not measured. Every command follows
//! `cargo run --release --example`; those on MNIST read it from the folder that `MNIST_DIR` names, with its four unpacked IDX files. The
//! last line of the output has the means. Five more results are in the README; [`study`](super::study) has intervals over seeds.
//!
//! # Tasks
//!
//! | task | decoupled | BP | time | command |
//! |---|---|---|---|---|
//! | MNIST, 784-256-256-10, 10,000 examples, the objective taken literally, 60 epochs, 3 seeds | 95.27 | 96.76 | 1.2 | `family -- --preset joint --activation-rate 1 --batch 32 --weight-decay 0.1 --examples 10000 --epochs 60 --seeds 3` |
//! | MNIST, 784-128×3-10 GELU, predictive coding as in PCX (arXiv 2407.01163), 25 epochs | 98.25 | 98.34 | 2.5 | `family -- --net 784-128-128-128-10 --activation gelu --loss mse --preset predictive_coding --activation-steps 8 --activation-rate 0.0105 --z-momentum 0.65 --reads stored --lr 3e-4 --weight-decay 1e-4 --epochs 25 --schedule constant` |
//! | MNIST, 784-128×3-10 GELU, incremental predictive coding as in PCX (published: 98.3 to 98.5), 25 epochs, 3 seeds | 98.26 | | | `family -- --preset incremental --net 784-128-128-128-10 --activation gelu --init torch --loss mse --activation-steps 8 --activation-rate 0.85 --z-momentum 0.35 --lr 2.5e-4 --weight-decay 0.03 --epochs 25 --seeds 3 --no-bp` |
//! | MNIST, 784-1500×3-10, block coordinate descent without gradients (published, Zeng et al.: 94.4 to 94.9 after 50 passes), 22 passes, 3 seeds | 94.60 | | | `family -- --preset bcd --net 784-1500-1500-1500-10 --epochs 22 --seeds 3 --no-bp` |
//! | the same, 29 passes of seed 0 | 94.75 | | | the same with `--epochs 29` and without `--seeds 3` |
//! | MNIST, 20,000 examples, ReLU × 15 of width 100 by `local_targets(5)` | 96.71 | 95.98 | 3 | `family -- --preset local_targets --width 100 --depth 15 --examples 20000` |
//! | digits through a layer of 8 units, error of a pixel | 0.0178 | 0.0175 | 2.0 | `autoencoder` |
//! | MNIST as 1×28×28, 5 × 5 convolutions to 6 and 16 channels, each pooled, 120-84-10 above, 5 epochs, 1 seed | 98.97 | 98.89 | 1.5 | `convnet` |
//! | lower halves of unseen digits from the upper ones, error of a pixel (mean digit 0.0775, nearest neighbour 0.0559), 5 seeds | 0.0443 | | | `occluded -- --seeds 5` |
//!
//! The literal objective needs more epochs: information moves one layer a visit.
//!
//! # Any depth
//!
//! The [default](crate::Method::default) with no method, start or penalty set, beside BP from the same start at the best of three learning
//! rates: ½, 1 and 1½ times 0.002 or, beyond ten layers, 0.02/D. The default has that of
//! [`Adam::for_depth`](crate::optimizer::Adam::for_depth); annealed to 0 along half a cosine for both.
//! The first 20,000 examples of MNIST, hidden layers of 100, batches of 128, 10 epochs, means of three seeds, by
//! `any_depth -- --activation A --seeds 3 --no-drawn`:
//!
//! | hidden layers | ReLU | BP | tanh | BP | sigmoid | BP | products in sequence | BP's |
//! |---|---|---|---|---|---|---|---|---|
//! | 1 | 96.89 | 96.63 | 96.37 | 96.17 | 95.43 | 94.85 | 6 | 4 |
//! | 2 | 97.19 | 97.08 | 96.77 | 96.52 | 95.99 | 95.58 | 8 | 6 |
//! | 4 | 97.07 | 97.08 | 96.82 | 96.69 | 96.27 | 96.07 | 12 | 10 |
//! | 6 | 97.04 | 97.01 | 96.67 | 96.64 | 96.47 | 96.26 | 16 | 14 |
//! | 10 | 96.83 | 96.83 | 96.60 | 96.67 | 96.51 | 96.39 | 24 | 22 |
//! | 15 | 96.66 | 96.50 | 96.59 | 96.56 | 96.10 | 96.15 | 34 | 32 |
//! | 20 | 96.41 | 96.25 | 96.35 | 96.49 | 95.87 | 95.93 | 44 | 42 |
//! | 30 | 96.12 | 96.06 | 96.22 | 96.38 | 95.55 | 95.57 | 64 | 62 |
//! | 50, 5 epochs, 1 seed | 95.31 | 95.00 | 95.37 | 95.69 | | | 104 | 102 |
//! | 100, 5 epochs, 1 seed | 95.25 | 95.03 | 95.20 | 95.24 | | | 204 | 202 |
//!
//! An epoch takes 1.3 times BP's time through two hidden layers, 1.5 through ten and 1.9 through thirty (an AMD EPYC at 113
//! GFLOP/s of fused multiply-adds a core; ratios of single cells, as the command prints them, scatter more on a busy machine). Two steps a
//! visit also are two updates a visit, of which BP takes one: see [equal times](#equal-times).
//!
//! The digits, hidden layers of 64, batches of 32, 20 epochs, means of five seeds and the least of them, by
//! `any_depth -- --digits --layers 2,12,20,30 --seeds 5 --no-drawn --activation A`:
//!
//! | hidden layers | ReLU, least | BP, least | tanh, least | BP, least |
//! |---|---|---|---|---|
//! | 2 | 98.11, 97.49 | 98.16, 97.77 | 97.94, 97.49 | 97.72, 96.94 |
//! | 12 | 97.10, 96.38 | 96.99, 96.38 | 97.49, 96.94 | 97.83, 96.94 |
//! | 20 | 97.44, 96.94 | 97.16, 96.38 | 97.66, 96.66 | 97.88, 96.66 |
//! | 30 | 97.44, 96.10 | 97.33, 96.66 | 97.38, 97.21 | 97.77, 96.66 |
//!
//! Four choices decide:
//!
//! * *The start*. Through ten layers or more, and where the drawn weights change the error's norm on its way down, a first fit takes an
//!   [isometry](crate::DecoupledNetwork::start_isometric), for BP as well. As drawn, thirty sigmoids learn nothing by either.
//! * *Targets that do not fade*. A sweep from the output in steps of 1/μ gives every layer BP's error, whatever the depth; a relaxation in
//!   short steps [does not](#where-red-black-sweeps-end). A second visit of every other layer on the way down, which would make the targets
//!   other than BP's, was tried at rates of 0.2 to 1 and penalties of 1 and 5: through two hidden layers it changes nothing, through four it
//!   learns to turn its gradients away from BP's, and fails.
//! * *Two steps*. One is BP. Three bring ReLU networks another tenth of a point or nothing, at 2.5 to 2.9 times BP's time, and five at the
//!   whole rate are too many for deep networks of tanh. Two at the rate of one hold through fifty layers; through a hundred of tanh
//!   they cost 0.9 points, so that the default's rate falls faster beyond thirty layers.
//! * *The first layer's two along one gradient*. In a dense network its input usually is the widest, and never changes. Two gradients of its own
//!   ([`local_targets(2)`](crate::Method::local_targets)) reach 97.21, 96.93 and 96.20 % through 2, 10 and 30 layers of ReLU and 96.53,
//!   96.57 and 96.23 % of tanh, from 0.24 points less than the table to 0.1 more, at 1.9 times BP's time at every depth; a single step
//!   there costs 0.2 to 0.4 points. The same in every second layer was another tenth behind through two and four layers. A second step on
//!   half of the batch, or both steps on a half each, were tried as well: within 0.1 points of BP on either side, at 1.5 and 1.4 times its
//!   time through two layers.
//!
//! # Equal times
//!
//! The default beside BP at about equal time, that is with more epochs for BP, by
//! `any_depth -- --layers D --bp-epochs N --seeds 2 --no-drawn` and `any_depth -- --digits --layers D --bp-epochs N --seeds 5 --no-drawn`.
//! The second step saves epochs; whether it saves time differs from cell to cell.
//!
//! | hidden layers, ReLU | MNIST, the default, 10 epochs | BP | its epochs | digits, the default, 20 epochs | BP | its epochs |
//! |---|---|---|---|---|---|---|
//! | 2 | 97.15 | 97.11 | 13 | 98.11 | 98.27 | 30 |
//! | 10 | 96.81 | 96.95 | 16 | 97.33 | 97.60 | 33 |
//! | 15 | 96.70 | 96.63 | 17 | 97.77 | 97.10 | 34 |
//! | 30 | 96.07 | 96.20 | 19 | 97.44 | 96.88 | 36 |
//!
//! # The sequential lock
//!
//! [`Method::in_flight`](crate::Method::in_flight), a stage a layer, with nothing else set, beside BP as [above](#any-depth), by
//! `any_depth -- --in-flight S,B --no-drawn` and these options (S = 0: a stage a layer). Every layer works at every tick, on a micro-batch of
//! its own; two products of it follow one another in a tick.
//!
//! | options | stages | ticks of an update | in flight | BP |
//! |---|---|---|---|---|
//! | `--layers 4 --in-flight 0,32 --seeds 3` | 5 | 4 | 96.94 | 97.08 |
//! | `--layers 10 --in-flight 0,8 --seeds 3` | 11 | 16 | 96.69 | 96.83 |
//! | `--layers 30 --in-flight 0,4 --seeds 3` | 31 | 32 | 95.91 | 96.06 |
//! | `--layers 30 --in-flight 0,4 --seeds 3 --activation tanh` | 31 | 32 | 96.28 | 96.38 |
//! | `--layers 10 --in-flight 0,16 --examples 60000 --epochs 4 --seeds 2` | 11 | 11 | 97.47 | 97.61 |
//! | `--layers 100 --in-flight 16,4 --epochs 5` | 16 | 32 | 94.22 | 95.03 |
//! | the same with `--activation tanh` | 16 | 32 | 94.80 | 95.24 |
//! | `--digits --in-flight 0,1 --seeds 5 --layers 2,12,20,30` | 3, 13, 21, 31 | 32 | 97.94, 96.49, 97.27, 96.94 | 98.16, 96.99, 97.16, 97.33 |
//! | the same with `--activation tanh` | 3, 13, 21, 31 | 32 | 97.27, 97.83, 97.83, 97.77 | 97.72, 97.83, 97.88, 97.77 |
//! | the first with `--in-flight 0,2 --layers 12` | 13 | 16 | 95.77 | 96.99 |
//!
//! An update still takes at least S − 1 ticks: the depth is hidden behind the work on other micro-batches, not removed. And it loses more
//! where training is short: after two to six epochs, of which the warm-up of 300 updates is a good part, deep networks of sigmoids and tanh
//! are [two to three points](super::study#the-immunities) below BP.
//!
//! What it buys is work for many cores: the layers' products run at the same time, each on weights that stay where they are. How many ticks a
//! second 32 hidden layers of 256 take, by `cargo bench --bench flight` on two cores of an Intel Xeon (AVX-512, 145 GFLOP/s of fused
//! multiply-adds a core), beside BP on the same micro-batches with the same updates; the last three columns are predicted by
//! a + w · ⌈S/p⌉/S seconds on p cores, fitted to the first two:
//!
//! | micro-batch | 1 thread | 2 threads | | BP, 2 threads | ratio | 8 cores | 16 | 64 |
//! |---|---|---|---|---|---|---|---|---|
//! | 8 | 197 | 414 | 2.10 × | 345 | 1.20 | 1204 | 2007 | 6020 |
//! | 32 | 106 | 220 | 2.08 × | 236 | 0.93 | 649 | 1082 | 3247 |
//!
//! On one or two cores it is not worth it: on one it takes a third more time than BP with micro-batches of 8, since each tick reads the
//! parameters of all layers twice, as they are and as they are expected to be.
//!
//! # Red-black sweeps and their alternatives
//!
//! Several methods keep up with BP on MNIST and on the digits, through two hidden layers and through ten. Among those that are not BP in
//! another form, [`Method::red_black`](crate::Method::red_black) is the one that never goes down through the layers one after another: in a
//! sweep only two groups wait for each other.
//!
//! MNIST, 784-256-256-10 ReLU, softmax cross-entropy, 10 epochs, batches of 128, Adam with its rate annealed from 10⁻³ to 0 along half a
//! cosine, seed 0 (the first two rows: means of three seeds, `--seeds 3`), by `family --` with the options given. The column `cos` has the
//! cosine of each layer's parameter gradient with BP's after training, from the input:
//!
//! | options | accuracy | time | cos |
//! |---|---|---|---|
//! | BP | 98.33 | 1 | 1, 1, 1 |
//! | `--preset red_black` | 98.25 | 1.3 | 0.988, 0.995, 1 |
//! | the same with `--schedule constant --seeds 3` (BP: 97.97) | 97.61 | 1.3 | 0.954, 0.990, 1 |
//! | `--preset red_black --order jacobi --activation-rate 0.1` | 98.28 | 1.3 | 0.974, 1.000, 1 |
//! | the same with `--schedule constant` (BP: 98.10) | 98.20 | 1.3 | 0.966, 1.000, 1 |
//! | `--preset backprop_by_sweep` | 98.36 | 1.0 | 1, 1, 1 |
//! | `--preset predictive_coding --activation-steps 4 --activation-rate 0.2` | 98.31 | 1.4 | 0.912, 0.914, 1 |
//! | the same with `--schedule constant` (BP: 98.10) | 96.31 | 1.6 | 0.765, 0.884, 1 |
//! | `--preset predictive_coding --activation-steps 2 --activation-rate 0.05 --order reverse` | 98.21 | 1.2 | 0.985, 1.000, 1 |
//! | `--preset predictive_coding --activation-steps 8 --activation-rate 0.01 --z-momentum 0.5` | 98.32 | 2.1 | 0.989, 1.000, 1 |
//! | `--preset predictive_coding --activation-steps 4 --activation-rate 0.1 --reads stored` | 97.78 | 1.5 | 0.726, 0.042, 0.960 |
//! | `--preset incremental --activation-steps 4 --activation-rate 0.1` | 97.39 | 3.5 | 0.979, 0.550, 0.850 |
//! | `--preset predictive_coding --activation-steps 3 --activation-rate 0.1 --local-steps 2` | 95.23 | 2.1 | −0.145, 0.979, 1 |
//!
//! With a constant rate single epochs scatter by 0.2 about their trend.
//!
//! Three choices decide:
//!
//! * *Input of the parameter step*. A relaxed activation already holds something of the label. A parameter step that reads it trains on
//!   information that is absent when the network predicts.
//! * *Step size*. Steps above 2/λmax overshoot, and λmax grows from 8 to 30 in these runs. Red-black order leaves more room: neighbours
//!   never move together, so that [the λmax of each layer's own block](crate::method::Sweeps::stable) counts. The method keeps below that, as a
//!   cap only: the hidden layers' gradients are proportional to the rate, and Adam takes a rate that follows 1/λmax all the time for a
//!   falling learning rate. That cost 0.1 to 0.2 points.
//! * *Number of sweeps*. A red-black sweep carries the signal down two layers. More than one sweep beyond the lowest layer gained nothing
//!   here.
//!
//! It is not BP: half of the layers step at once, the hidden layers relax by an eighth to a third of the way to their
//! equilibrium, and the gradients turn away from BP's during training. Nor is it far from BP;
//! [`diagnostics::decoupling`](crate::diagnostics::decoupling()) measures how far, for any method, network and data. It saves nothing in
//! sequence: T products forward, then four for each sweep, some 3T in all, where BP has 2T.
//!
//! # The other presets
//!
//! The same network and data, 10 epochs and seed 0 if not given, by `family --` with the options given:
//!
//! | options | accuracy | BP |
//! |---|---|---|
//! | `--preset local_targets --epochs 2 --seeds 3` | 98.24 | 97.07 |
//! | `--preset alm --seeds 3` | 98.26 | 98.33 |
//! | `--preset alm --order jacobi --activation-rate 1` | 97.64 | 98.32 |
//! | the same with `--multipliers none`: the lowest layer learns nothing | 96.38 | 98.32 |
//! | `--preset mac --epochs 3` | 96.08 | |
//! | the same with `--start anchored` | 96.23 | |
//! | `--preset error_based` (warns of overshooting after epoch 3) | 97.52 | 98.32 |
//! | `--preset error_based --activation-rate 0.02 --activation-steps 5` | 97.85 | 98.32 |
//! | `--preset admm --epochs 20` | 88.72 | 98.32 |
//!
//! These rows also show the effect of a bank that persists. Kept multipliers bring the signal to the lowest layer, which one Jacobi step
//! from the forward pass does not reach: 1.3 points. In `bcd` persistence gives 87.0 instead of 85.9 after 20 passes over 10,000 examples
//! (`--preset bcd --examples 10000 --epochs 20 --no-bp`, and with `--start anchored`). In `mac` it costs accuracy: stored inputs that hold
//! something of the label are worse to learn from than those of a new forward pass.
//!
//! # Where red-black sweeps end
//!
//! Every layer that the signal crosses passes on a share of it, about the rate times ‖W‖. The signal at the lowest layer is a difference
//! z − a, which in single precision has seven digits: through ten hidden layers enough of them are left, through fifteen not. The first
//! 20,000 examples of MNIST through D hidden layers of 100, one seed, by
//! `family -- --preset red_black --width 100 --depth D --examples 20000`, and `--activation tanh`:
//!
//! | D | ReLU | BP |
//! |---|---|---|
//! | 4 | 96.34 | 96.36 |
//! | 6 | 96.41 | 96.71 |
//! | 10 | 96.28 | 96.48 |
//! | 15 | 88.76 | 95.98 |
//! | 20 | 71.16 | 95.68 |
//! | 15, tanh | 94.74 | 95.87 |
//!
//! Deeper networks need an activation step that does not diffuse, and a start that lets the signal through, as the
//! [default](crate::Method::default) [has them](#any-depth).
//!
//! The order of the layers decides how far the signal goes. In Jacobi order all layers move at once, which needs small steps, one for
//! each layer. In reverse order one sweep suffices, one layer after another, as sequential as BP. Ten hidden layers, 5 epochs, means of
//! five seeds, by `family -- --preset red_black --width 100 --depth 10 --examples 20000 --epochs 5 --seeds 5 --activation A` and:
//!
//! | options | tanh | ReLU | products in sequence | time |
//! |---|---|---|---|---|
//! | BP | 95.36 | 95.84 | 22 | 1 |
//! | (none more) | 95.32 | 95.35 | 35 | 2.7 |
//! | `--order jacobi --activation-rate 0.1` | 90.55 | 83.71 | 33 | 4.1 |
//! | `--order reverse` | 95.25 | 95.44 | 33 | 1.7 |
//!
//! # From weights as drawn, and restarted
//!
//! Deep networks whose signal dies or explodes from weights that are drawn by a named initialiser, on the first 20,000 examples of MNIST,
//! hidden layers of 100, batches of 128: as drawn, BP learns little (in the last of these two thirds of the digits), and the default nothing (the [study](super::study#the-immunities) has
//! these, and the signal layer by layer). After [`start_isometric`](crate::DecoupledNetwork::start_isometric), means of three seeds, BP
//! at the best of three rates, by `depth -- --seeds 3 --no-baselines` with these options:
//!
//! | network | options | decoupled | BP |
//! |---|---|---|---|
//! | sigmoid × 10, 4 epochs | `--layers 10 --epochs 4` | 95.17 | 95.07 |
//! | sigmoid × 30, 6 epochs | `--layers 30 --epochs 6` | 94.90 | 95.05 |
//! | tanh × 30, gain 0.5, 2 epochs | `--activation tanh --layers 30 --gain 0.5 --epochs 2` | 94.33 | 94.31 |
//! | tanh × 30, gain 3, 2 epochs | `--activation tanh --layers 30 --gain 3 --epochs 2` | 94.86 | 94.97 |
//! | ReLU × 10, gain 0.1, 6 epochs | `--activation relu --layers 10 --gain 0.1 --epochs 6` | 96.60 | 96.35 |
//!
//! From the weights as drawn, 10⁻⁵·⁶ of the first network's gradient is left at the lowest layer (the highest has 1), and 10⁻¹⁸ of the
//! second's; the fourth's grows to 10⁴. The start does it, for BP too.
//!
//! # Missing inputs
//!
//! Missing entries of the training inputs, [filled with the means or inferred](crate::data::Examples::with_missing), after 150 epochs of
//! red-black sweeps, by `missing`:
//!
//! | filled / inferred, 5 seeds | missing | unseen, whole | unseen, as much missing | error of a missing entry |
//! |---|---|---|---|---|
//! | four independent inputs, eight targets that tell them; loss | 10 % | 0.033 / 0.012 | 0.190 / 0.175 | 0.99 / 0.46 |
//! | | 30 % | 0.079 / 0.083 | 0.576 / 0.607 | 1.00 / 0.70 |
//! | | 50 % | 0.158 / 0.283 | 0.890 / 1.006 | 1.00 / 0.84 |
//! | digits; accuracy | 10 % | 97.3 / 97.3 | 96.2 / 96.2 | 0.97 / 0.96 |
//! | | 30 % | 96.9 / 96.8 | 92.9 / 92.5 | 0.99 / 0.99 |
//! | | 50 % | 96.6 / 95.3 | 84.6 / 84.3 | 0.98 / 0.98 |
