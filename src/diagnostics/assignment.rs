//! The linear assignment problem, for the matching of hidden units.

/// The permutation π with the largest Σ_i gain(i, π(i)), for an n × n matrix of gains, row after row.
///
/// Shortest augmenting paths with potentials, n³ steps: H. W. Kuhn (1955), *The Hungarian method for the assignment problem*,
/// Naval Research Logistics Quarterly 2; R. Jonker, A. Volgenant (1987), *A shortest augmenting path algorithm for dense and sparse
/// linear assignment problems*, Computing 38.
pub(crate) fn assignment(gains: &[f64], n: usize) -> Vec<usize> {
    const NONE: usize = usize::MAX;
    debug_assert_eq!(gains.len(), n * n);
    // Potentials u of rows and v of columns: −gain(i, j) ≥ u(i) + v(j), with equality where i is assigned to j.
    let (mut u, mut v) = (vec![0.0; n], vec![0.0; n]);
    let mut row_of = vec![NONE; n];
    for root in 0..n {
        // Grows a tree of shortest paths from the root, one column at a time, until it meets a free column.
        let mut distance = vec![f64::INFINITY; n];
        let mut from = vec![NONE; n];
        let mut done = vec![false; n];
        let (mut row, mut last) = (root, NONE);
        let free = loop {
            let (mut nearest, mut least) = (NONE, f64::INFINITY);
            let gains = &gains[row * n..(row + 1) * n];
            for j in (0..n).filter(|&j| !done[j]) {
                let reduced = -gains[j] - u[row] - v[j];
                if reduced < distance[j] {
                    distance[j] = reduced;
                    from[j] = last;
                }
                if distance[j] < least || nearest == NONE {
                    (nearest, least) = (j, distance[j]);
                }
            }
            u[root] += least;
            for j in 0..n {
                if done[j] {
                    u[row_of[j]] += least;
                    v[j] -= least;
                } else {
                    distance[j] -= least;
                }
            }
            done[nearest] = true;
            if row_of[nearest] == NONE {
                break nearest;
            }
            (row, last) = (row_of[nearest], nearest);
        };
        let mut column = free;
        while column != NONE {
            let before = from[column];
            row_of[column] = if before == NONE { root } else { row_of[before] };
            column = before;
        }
    }
    let mut column_of = vec![0; n];
    row_of.iter().enumerate().for_each(|(column, &row)| column_of[row] = column);
    column_of
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::machine::random::{Purpose, stream};

    fn total(gains: &[f64], order: &[usize]) -> f64 {
        order.iter().enumerate().map(|(i, &j)| gains[i * order.len() + j]).sum()
    }

    /// The best of all n! permutations.
    fn exhaustive(gains: &[f64], order: &mut Vec<usize>, n: usize) -> f64 {
        if order.len() == n {
            return total(gains, order);
        }
        let mut best = f64::NEG_INFINITY;
        for j in 0..n {
            if !order.contains(&j) {
                order.push(j);
                best = best.max(exhaustive(gains, order, n));
                order.pop();
            }
        }
        best
    }

    #[test]
    fn no_permutation_of_up_to_seven_gains_more() {
        let mut rng = stream(3, Purpose::Probe, 0, 0);
        for n in 1..=7 {
            for kind in 0..12 {
                // Ties, too, and rows that all want the same column.
                let gain = |x: f64, j: usize| match kind % 3 {
                    0 => x - 0.5,
                    1 => (4.0 * x).floor(),
                    _ => x + 10.0 / (1 + j) as f64,
                };
                let gains: Vec<f64> = (0..n * n).map(|e| gain(rng.random(), e % n)).collect();
                let order = assignment(&gains, n);
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..n).collect::<Vec<_>>(), "a permutation");
                let best = exhaustive(&gains, &mut Vec::new(), n);
                assert!((total(&gains, &order) - best).abs() < 1e-12, "{} of {best}", total(&gains, &order));
            }
        }
    }

    #[test]
    fn a_planted_permutation_of_sixty_is_found() {
        // Each of its gains is larger than any other, so no other permutation gains as much.
        let n = 60;
        let planted: Vec<usize> = (0..n).map(|i| (i * 17 + 5) % n).collect();
        let mut rng = stream(4, Purpose::Probe, 0, 0);
        let mut gains: Vec<f64> = (0..n * n).map(|_| rng.random::<f64>()).collect();
        planted.iter().enumerate().for_each(|(i, &j)| gains[i * n + j] += 1.0);
        assert_eq!(assignment(&gains, n), planted);
    }
}
