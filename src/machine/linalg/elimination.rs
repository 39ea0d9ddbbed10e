//! Elimination with pivoting, for systems too small for blocks and threads.

use super::axpy;
use crate::Scalar;

/// b ← A⁻¹·b for a square A of a few dozen rows, by elimination with partial pivoting. Nothing is allocated: A, column after
/// column, serves as scratch. Returns whether A is regular; what b holds is of no meaning if not.
pub(crate) fn solve<T: Scalar>(a: &mut [T], b: &mut [T]) -> bool {
    let n = b.len();
    assert_eq!(a.len(), n * n, "entries of a square matrix");
    for j in 0..n {
        let (column, right) = a[j * n..].split_at_mut(n);
        let row = (j..n).fold(j, |most, i| if column[i].abs() > column[most].abs() { i } else { most });
        column.swap(j, row);
        let (pivot, factors) = (column[j], &mut column[j + 1..]);
        if pivot == T::zero() || !pivot.is_finite() {
            return false;
        }
        factors.iter_mut().for_each(|factor| *factor /= pivot);
        for column in right.chunks_exact_mut(n).chain([&mut *b]) {
            column.swap(j, row);
            let (done, below) = column.split_at_mut(j + 1);
            axpy(-done[j], factors, below);
        }
    }
    for j in (0..n).rev() {
        let (above, x) = b[..=j].split_at_mut(j);
        x[0] /= a[j * n + j];
        axpy(-x[0], &a[j * n..], above);
    }
    true
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};
    use rand::RngExt;

    use super::*;
    use crate::machine::random::{Purpose, stream};

    #[test]
    fn systems_are_solved_like_by_nalgebra_also_with_zeros_on_the_diagonal() {
        let mut rng = stream(1, Purpose::Probe, 0, 0);
        for n in [1, 2, 3, 10, 33, 100] {
            for hollow in [false, true] {
                let a = DMatrix::from_fn(n, n, |i, j| match hollow && i == j && n > 1 {
                    true => 0.0,
                    false => rng.random::<f64>() - 0.5,
                });
                let b = DVector::from_fn(n, |_, _| rng.random::<f64>() - 0.5);
                let mut found = b.clone();
                assert!(solve(a.clone().as_mut_slice(), found.as_mut_slice()));
                let expected = a.clone().lu().solve(&b).unwrap();
                let gap = (&found - &expected).amax() / expected.amax();
                assert!(gap < 1e-10, "{n}, hollow {hollow}: {gap:e}");
                let residual = (a * &found - b).amax() / found.amax();
                assert!(residual < 1e-13, "{n}, hollow {hollow}: {residual:e}");
            }
        }
    }

    #[test]
    fn a_singular_matrix_is_refused() {
        let refused = |mut a: Vec<f64>, n: usize| !solve(&mut a, &mut vec![1.0; n]);
        for bad in [0.0, f64::NAN, f64::INFINITY] {
            for n in [1, 4] {
                assert!(refused(vec![bad; n * n], n), "{n} rows of {bad}");
            }
            // In the last column alone.
            assert!(refused(vec![1.0, 2.0, 0.0, bad], 2));
        }
        // Two equal rows.
        assert!(refused(vec![0.5, 0.5, -3.0, -3.0], 2));
    }
}
