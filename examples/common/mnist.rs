//! MNIST, from the folder that `MNIST_DIR` names.

use decoupled::{Dataset, Result, data};

use crate::options;

/// Runs on the training and the test part, or says why it does not. An error ends the program.
pub(crate) fn run(run: impl FnOnce(&Dataset<f32>, &Dataset<f32>) -> Result<()>) {
    let Some(folder) = std::env::var_os("MNIST_DIR") else {
        println!(
            "skipped: training on MNIST, because MNIST_DIR is not set. Let it name a folder with the unpacked files\n\
             train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte;\n\
             https://github.com/cvdfoundation/mnist, a mirror of the original site, links to them.\n\
             The example `quickstart` needs no files."
        );
        return;
    };
    let outcome = data::mnist(folder).and_then(|(train, test)| run(&train, &test));
    outcome.unwrap_or_else(|error| options::fail(&error));
}
