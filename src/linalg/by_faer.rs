use faer::{Accum, MatMut, MatRef, Par};

use super::{Onto, Strided, StridedMut};

/// Rows or columns of the result up to which faer is taken.
const FEW: usize = 16;

/// By measurement. In loops over one product alone it is ahead for wider products as well; in training, where every product finds
/// its factors outside of the nearest cache, matrixmultiply, which packs them, is: by 15 % at 64 columns.
pub(super) fn is_faster<T>(a: &Strided<'_, T>, b: &Strided<'_, T>) -> bool {
    a.rows.min(b.cols) <= FEW
}

/// What the scalar types bring to the products.
pub trait ByFaer: Sized {
    /// C ← A·B, C ← C + A·B or C ← C − A·B.
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "sealed with the scalars")]
    fn gemm_by_faer(a: Strided<'_, Self>, b: Strided<'_, Self>, c: StridedMut<'_, Self>, onto: Onto);
}

macro_rules! by_faer {
    ($t:ty) => {
        impl ByFaer for $t {
            #[expect(private_interfaces, reason = "sealed with the scalars")]
            fn gemm_by_faer(a: Strided<'_, Self>, b: Strided<'_, Self>, c: StridedMut<'_, Self>, onto: Onto) {
                let accum = if onto == Onto::Replace { Accum::Replace } else { Accum::Add };
                let c = MatMut::from_column_major_slice_with_stride_mut(c.data, c.rows, c.cols, c.col_stride);
                faer::linalg::matmul::matmul(c, accum, view(a), view(b), onto.sign(), Par::Seq);
            }
        }
    };
}
by_faer!(f32);
by_faer!(f64);

fn view<T>(m: Strided<'_, T>) -> MatRef<'_, T> {
    match m.row_stride {
        1 => MatRef::from_column_major_slice_with_stride(m.data, m.rows, m.cols, m.col_stride),
        _ => MatRef::from_row_major_slice_with_stride(m.data, m.rows, m.cols, m.row_stride),
    }
}
