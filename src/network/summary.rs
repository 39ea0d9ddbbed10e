//! A network in print: layers, parameters, and the cost of an update.

use std::fmt;

use crate::diagnostics::{Cost, cost};
use crate::layer::Shape;
use crate::{DecoupledNetwork, Scalar, table};

/// The layers of a network and the cost of training it; printed, a table.
///
/// ```
/// use decoupled::{DecoupledNetwork, layer::Activation};
///
/// let builder = DecoupledNetwork::<f32>::builder(64).dense(32, Activation::Relu).dense(10, Activation::Identity);
/// let table = "
/// layer          unit    shape  parameters
///     0  Dense → Relu  64 → 32        2080
///     1         Dense  32 → 10         330
/// 2410 parameters, 144000 bytes of activation bank for 1000 examples
/// an update: 6 products that wait for one another, 11620 operations an example
/// by backpropagation: 4 products that wait for one another, 10300 operations an example";
/// assert_eq!(builder.build()?.summary().to_string(), table.trim_start());
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The layers, from the input up.
    pub layers: Vec<LayerSummary>,
    /// What an update by the network's own method takes, and the bank for [`EXAMPLES`](Self::EXAMPLES) examples.
    pub cost: Cost,
    /// What an update by backpropagation takes.
    pub backprop: Cost,
}

/// A layer in a [`Summary`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSummary {
    /// What it [calls itself](crate::Layer::name).
    pub name: String,
    /// Shape of its input.
    pub input: Shape,
    /// Shape of its output.
    pub output: Shape,
    /// Number of its parameters.
    pub params: usize,
    /// Whether its parameters [stand](DecoupledNetwork::freeze).
    pub frozen: bool,
}

impl Summary {
    /// The examples that the bank is counted for.
    pub const EXAMPLES: usize = 1000;
}

impl<T: Scalar> DecoupledNetwork<T> {
    /// Layers, parameters, and what training takes, by [`cost`].
    ///
    /// # Panics
    /// When the [name](crate::Layer::name) or a shape of a layer does, or the activation optimizer.
    pub fn summary(&self) -> Summary {
        let mut shape = self.layers.first().map_or(Shape::Flat(0), |layer| layer.input_shape());
        let layers = self.layers.iter().zip(&self.params).zip(&self.training.layers);
        let layers = layers.map(|((layer, params), state)| {
            let output = layer.output_shape(shape);
            let input = std::mem::replace(&mut shape, output);
            LayerSummary { name: layer.name(), input, output, params: params.len(), frozen: state.frozen }
        });
        Summary {
            layers: layers.collect(),
            cost: cost(self, Some(&self.method), Summary::EXAMPLES),
            backprop: cost(self, None, Summary::EXAMPLES),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["layer", "unit", "shape", "parameters"].map(str::to_owned).to_vec();
        let row = |(t, layer): (usize, &LayerSummary)| {
            let LayerSummary { name, input, output, params, frozen } = layer;
            let name = if *frozen { format!("{name} (frozen)") } else { name.clone() };
            vec![t.to_string(), name, format!("{input} → {output}"), params.to_string()]
        };
        let rows = self.layers.iter().enumerate().map(row);
        writeln!(f, "{}", table::aligned(&[head].into_iter().chain(rows).collect::<Vec<_>>()))?;
        let params: usize = self.layers.iter().map(|layer| layer.params).sum();
        let frozen: usize = self.layers.iter().filter(|layer| layer.frozen).map(|layer| layer.params).sum();
        let frozen = if frozen > 0 { format!(" ({frozen} frozen)") } else { String::new() };
        let (bytes, examples) = (self.cost.bank_bytes, Self::EXAMPLES);
        writeln!(f, "{params} parameters{frozen}, {bytes} bytes of activation bank for {examples} examples")?;
        writeln!(f, "an update: {}", takes(&self.cost))?;
        write!(f, "by backpropagation: {}", takes(&self.backprop))
    }
}

fn takes(cost: &Cost) -> String {
    let operations = cost.operations.map_or_else(
        || "operations that are not counted".to_owned(),
        |operations| format!("{operations} operations an example"),
    );
    format!("{} products that wait for one another, {operations}", cost.sequential_products)
}
