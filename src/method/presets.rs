//! Methods by name, one file each. The documentation cites the paper and says where we depart from it.

use crate::method::Method;
use crate::method::activation_step::{ErrorSteps, Exact, GaussNewton, Order, Sweeps};
use crate::method::block::Reads;
use crate::method::coupling::{Multipliers, Penalty};
use crate::method::parameter_step::Timing;
use crate::method::start::Start;

mod admm;
mod alm;
mod backprop_by_sweep;
mod bcd;
mod error_based;
mod in_flight;
mod incremental;
mod joint;
mod local_targets;
mod mac;
mod predictive_coding;
mod red_black;
