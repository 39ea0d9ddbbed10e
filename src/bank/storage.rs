//! Number formats of the bank: encoding and decoding, with the rounding to bf16.

use crate::Scalar;
use crate::machine::linalg::scalar::bf16;

/// In which format the bank keeps its numbers: activations, multipliers and the activation optimizer's state. The arithmetic
/// is in the network's scalar whatever it is: a visit takes its examples out of the bank and puts them back rounded;
/// [`Exact`](crate::method::Exact) does so layer by layer.
///
/// Rounding is to the nearest number, ties to even. A number that is finite and would no longer be so in this format is
/// [`Error::Diverged`](crate::Error::Diverged).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Storage {
    /// As the network computes: nothing is rounded.
    #[default]
    Full,
    /// Single precision, 4 bytes: the same as `Full` in a network of `f32`.
    F32,
    /// 2 bytes, the upper half of a single: its range, and 8 significant bits. Small steps of an activation that persists may
    /// round to none, and so may a running mean such as Adam's.
    Bf16,
    /// No numbers. The bank has the two counts of every example alone, 16 bytes, and a fit the activations of one batch: for wide layers
    /// such as convolutions, and many examples.
    ///
    /// Parameters and reports are those of `Full`, bit for bit. It applies to methods that keep no activations and no multipliers from
    /// visit to visit, as [`Method::default`](crate::Method::default): they start at the forward pass
    /// ([`Start::Anchored`](crate::method::Start::Anchored)). Others, [`Exact`](crate::method::Exact) steps, which move activations in the
    /// bank itself, [missing](crate::data::Examples::with_missing) inputs and a bank in a [file](crate::NetworkBuilder::bank_file) are
    /// [`Error::Unsupported`](crate::Error::Unsupported).
    Nothing,
}

/// What a number looks like in the bank, low byte first.
#[derive(Clone, Copy, Debug)]
enum Format {
    F64,
    F32,
    Bf16,
    Nothing,
}

impl Storage {
    fn format<T: Scalar>(self) -> Format {
        match self {
            Self::Full if size_of::<T>() == 8 => Format::F64,
            Self::Full | Self::F32 => Format::F32,
            Self::Bf16 => Format::Bf16,
            Self::Nothing => Format::Nothing,
        }
    }

    /// Bytes of one number.
    pub(super) fn width<T: Scalar>(self) -> usize {
        match self.format::<T>() {
            Format::F64 => 8,
            Format::F32 => 4,
            Format::Bf16 => 2,
            Format::Nothing => 0,
        }
    }

    /// Writes `from` to as many widths of bytes; whether all that was finite still is.
    #[must_use]
    pub(crate) fn encode<T: Scalar>(self, from: &[T], to: &mut [u8]) -> bool {
        let mut kept = true;
        match self.format::<T>() {
            Format::F64 => write(from, to, |x| x.to_le_bytes()),
            Format::F32 => write(from, to, |x| {
                let y = x as f32;
                kept &= y.is_finite() || !x.is_finite();
                y.to_le_bytes()
            }),
            Format::Bf16 => write(from, to, |x| {
                let y = to_bf16(x);
                kept &= y & 0x7f80 != 0x7f80 || !x.is_finite();
                y.to_le_bytes()
            }),
            Format::Nothing => {}
        }
        kept
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(crate) fn decode<T: Scalar>(self, from: &[u8], to: &mut [T]) {
        match self.format::<T>() {
            Format::F64 => read(from, to, f64::from_le_bytes),
            Format::F32 => read(from, to, |bytes| f64::from(f32::from_le_bytes(bytes))),
            Format::Bf16 => read(from, to, |bytes| bf16(u16::from_le_bytes(bytes))),
            Format::Nothing => assert!(to.is_empty(), "the bank has kept nothing"),
        }
    }
}

fn write<T: Scalar, const N: usize>(from: &[T], to: &mut [u8], mut code: impl FnMut(f64) -> [u8; N]) {
    let (to, _) = to.as_chunks_mut::<N>();
    assert_eq!(to.len(), from.len());
    // By way of f64, which has every number of both precisions: one rounding, whatever T is.
    to.iter_mut().zip(from).for_each(|(to, from)| *to = code(from.to_f64()));
}

fn read<T: Scalar, const N: usize>(from: &[u8], to: &mut [T], value: impl Fn([u8; N]) -> f64) {
    let (from, _) = from.as_chunks::<N>();
    assert_eq!(to.len(), from.len());
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = T::of(value(from)));
}

/// The nearest bf16, ties to even; NaN stays NaN, and what is beyond its range is infinite.
fn to_bf16(x: f64) -> u16 {
    // Round to odd in f32 first, so that the second rounding never sees a false tie.
    let nearest = x as f32;
    let exact = f64::from(nearest) == x;
    let below = nearest.to_bits() - u32::from(f64::from(nearest).abs() > x.abs());
    let bits = below | u32::from(!exact);
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // Rounding could carry a NaN's payload into its sign.
    if x.is_nan() { (bits >> 16) as u16 | 0x40 } else { (rounded >> 16) as u16 }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};

    use super::*;

    /// Every finite bf16 that is not negative, rising: the definition is taken at its word, by looking for the nearest.
    fn all() -> Vec<f64> {
        (0..0x7f80).map(bf16).collect()
    }

    /// By definition; `index` in [`all`] is the number's bits, so the even one of two neighbours is the even index.
    fn nearest(all: &[f64], x: f64) -> u16 {
        let above = all.partition_point(|&y| y < x.abs());
        let index = match (above.checked_sub(1), all.get(above)) {
            (None, _) => 0,
            // The next power of two, where the format had one more exponent, is what the largest is rounded against.
            (Some(below), None) => below + usize::from(x.abs() - all[below] >= 2f64.powi(128) - x.abs()),
            (Some(below), Some(high)) => match (x.abs() - all[below]).total_cmp(&(high - x.abs())) {
                std::cmp::Ordering::Less => below,
                std::cmp::Ordering::Greater => above,
                std::cmp::Ordering::Equal => above - above % 2,
            },
        };
        index as u16 | (u16::from(x.is_sign_negative()) << 15)
    }

    #[test]
    fn bf16_is_the_nearest_number_and_the_even_one_of_two() {
        let all = all();
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        let mut cases = vec![0.0, f64::from(f32::MAX), 2f64.powi(128), f64::MAX, 1e-300, f64::from_bits(1)];
        cases.push(all[0x7f7f]);
        for _ in 0..20_000 {
            cases.push(f64::from(f32::from_bits(rng.random::<u32>())));
            cases.push(f64::from_bits(rng.random::<u64>()));
            // Ties, and what is a tie once it is a single.
            let low = rng.random_range(0..0x7f7f);
            let tie = 0.5 * (all[low] + all[low + 1]);
            cases.extend([tie, tie * (1.0 + 1e-14), tie * (1.0 - 1e-14), all[low]]);
        }
        for x in cases.into_iter().filter(|x| x.is_finite()).flat_map(|x| [x, -x]) {
            assert_eq!(to_bf16(x), nearest(&all, x), "{x:e}");
        }
    }

    #[test]
    fn nan_stays_nan_and_infinities_are_kept() {
        for bits in [0x7f80_0001, 0x7fff_ffff, 0xff80_0001, 0xffff_ffff, 0x7fc0_0000] {
            assert!(bf16(to_bf16(f64::from(f32::from_bits(bits)))).is_nan(), "{bits:x}");
        }
        assert!([f64::INFINITY, -f64::INFINITY].iter().all(|&x| bf16(to_bf16(x)) == x));
        assert_eq!(to_bf16(-0.0), 0x8000);
    }

    #[test]
    fn what_a_format_has_comes_back_and_what_it_cannot_hold_is_told() {
        let mut bytes = [0; 24];
        let held = [1.5, -0.0, f64::INFINITY];
        for storage in [Storage::Full, Storage::F32, Storage::Bf16] {
            let bytes = &mut bytes[..3 * storage.width::<f64>()];
            let mut back = [0.0; 3];
            assert!(storage.encode(&held, bytes));
            storage.decode(bytes, &mut back);
            assert_eq!(back.map(f64::to_bits), held.map(f64::to_bits));
            assert_eq!(storage.encode(&[1e39, 0.0, 0.0], bytes), storage == Storage::Full);
        }
        let mut bytes = [0; 4];
        assert!(Storage::F32.encode(&[f32::MAX], &mut bytes) && Storage::Full.encode(&[f32::MAX], &mut bytes));
        assert!(!Storage::Bf16.encode(&[f32::MAX], &mut bytes[..2]));
        let mut back = [0.0];
        assert!(Storage::Full.encode(&[0.1f32], &mut bytes));
        Storage::Full.decode(&bytes, &mut back);
        assert_eq!(back, [0.1f32]);
    }
}
