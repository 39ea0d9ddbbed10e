use faer::{Accum, MatMut, MatRef, Par};

use super::{Onto, Strided, StridedMut};

/// Rows below which faer takes A·Bᵀ as well.
const FEW: usize = 16;

/// By measurement: all products but A·Bᵀ with many rows, which matrixmultiply packs as fast.
pub(super) fn is_faster<T>(a: &Strided<'_, T>, b: &Strided<'_, T>) -> bool {
    b.row_stride == 1 || a.rows < FEW
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
