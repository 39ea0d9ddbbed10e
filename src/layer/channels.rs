//! One number for each channel of a picture: biases, and their gradients.

use crate::Scalar;
use crate::machine::linalg::{dispatch_from, sum_zip};

/// Adds to each channel of a picture its bias, if there are any.
pub(super) fn add_to_channels<T: Scalar>(biases: &[T], picture: &mut [T]) {
    let Some(pixels) = picture.len().checked_div(biases.len()) else { return };
    for (channel, &bias) in picture.chunks_exact_mut(pixels).zip(biases) {
        dispatch_from(
            pixels,
            #[inline(always)]
            || channel.iter_mut().for_each(|pixel| *pixel += bias),
        );
    }
}

/// Adds the sum over each channel of a picture to its entry of `sums`, which has one for each channel, or none.
pub(super) fn add_channel_sums<T: Scalar>(picture: &[T], sums: &mut [T]) {
    let Some(pixels) = picture.len().checked_div(sums.len()) else { return };
    let channels = picture.chunks_exact(pixels);
    sums.iter_mut().zip(channels).for_each(|(sum, channel)| *sum += sum_zip(channel, channel, |x, _| x));
}
