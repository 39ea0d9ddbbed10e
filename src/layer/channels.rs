//! One number for each channel of a picture: biases, and their gradients.

use crate::Scalar;
use crate::machine::linalg::sum_zip;

/// Fills each channel of a picture with its bias; with zeros without biases.
pub(super) fn fill_channels<T: Scalar>(biases: &[T], picture: &mut [T]) {
    let Some(pixels) = picture.len().checked_div(biases.len()) else { return picture.fill(T::zero()) };
    picture.chunks_exact_mut(pixels).zip(biases).for_each(|(channel, &bias)| channel.fill(bias));
}

/// Adds the sum over each channel of a picture to its entry of `sums`, which has one for each channel, or none.
pub(super) fn add_channel_sums<T: Scalar>(picture: &[T], sums: &mut [T]) {
    let Some(pixels) = picture.len().checked_div(sums.len()) else { return };
    let channels = picture.chunks_exact(pixels);
    sums.iter_mut().zip(channels).for_each(|(sum, channel)| *sum += sum_zip(channel, channel, |x, _| x));
}
