//! Arrays of ndarray: rows are examples there, columns are examples here.

use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::{Dataset, DecoupledNetwork, Error, MatRef};
use ndarray::{Array1, Array2, ArrayView2, Axis, ShapeBuilder, array, s};

/// Entry (i, j) is 10 i + j.
fn ten(i: usize, j: usize) -> f64 {
    (10 * i + j) as f64
}

fn assert_examples(layout: &str, array: ArrayView2<'_, f64>, expected: &[&[f64]]) {
    let examples = Examples::try_from(array).unwrap();
    let columns: Vec<_> = examples.matrix().columns().collect();
    assert_eq!(columns, expected, "{layout}");
}

#[test]
fn rows_become_examples_whatever_the_strides() {
    let c = Array2::from_shape_fn((4, 3), |(i, j)| ten(i, j));
    let f = Array2::from_shape_fn((4, 3).f(), |(i, j)| ten(i, j));
    assert_eq!((c.strides(), f.strides()), (&[3, 1][..], &[1, 4][..]));
    for (layout, array) in [("C", c), ("F", f)] {
        let rows: [&[f64]; 4] = [&[0.0, 1.0, 2.0], &[10.0, 11.0, 12.0], &[20.0, 21.0, 22.0], &[30.0, 31.0, 32.0]];
        assert_examples(layout, array.view(), &rows);
        let columns: [&[f64]; 3] = [&[0.0, 10.0, 20.0, 30.0], &[1.0, 11.0, 21.0, 31.0], &[2.0, 12.0, 22.0, 32.0]];
        assert_examples(layout, array.t(), &columns);
        assert_examples(layout, array.slice(s![1..3, 1..]), &[&[11.0, 12.0], &[21.0, 22.0]]);
        assert_examples(layout, array.slice(s![..;2, ..;2]), &[&[0.0, 2.0], &[20.0, 22.0]]);
        assert_examples(layout, array.slice(s![..;-3, ..;-1]), &[&[32.0, 31.0, 30.0], &[2.0, 1.0, 0.0]]);
        assert_examples(layout, array.column(1).insert_axis(Axis(1)), &[&[1.0], &[11.0], &[21.0], &[31.0]]);
        assert_examples(layout, array.row(2).broadcast((2, 3)).unwrap(), &[&[20.0, 21.0, 22.0], &[20.0, 21.0, 22.0]]);
    }
}

#[test]
fn arrays_without_examples_or_features_are_empty() {
    let examples = Examples::try_from(Array2::<f32>::zeros((0, 2)).view());
    assert!(matches!(examples, Err(Error::Empty { what: "the list of examples" })));
    let examples = Examples::try_from(Array2::<f32>::zeros((2, 0)).view());
    assert!(matches!(examples, Err(Error::Empty { what: "the list of features" })));
}

#[test]
fn columns_become_rows_and_a_view_of_them_copies_nothing() {
    let matrix = MatRef::new(&[0.0, 1.0, 2.0, 10.0, 11.0, 12.0], 3, 2);
    let expected = array![[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]];
    let view = ArrayView2::from(matrix);
    assert_eq!(view, expected);
    assert_eq!(view.as_ptr(), matrix.as_slice().as_ptr());
    assert_eq!(Array2::from(matrix), expected);
    assert_eq!(Examples::try_from(view).unwrap().matrix(), matrix);
}

#[test]
fn a_matrix_without_entries_is_an_array_without() {
    assert_eq!(ArrayView2::from(MatRef::<f64>::new(&[], 3, 0)).dim(), (0, 3));
    assert_eq!(ArrayView2::from(MatRef::<f64>::new(&[], 0, 3)).dim(), (3, 0));
    assert!(ArrayView2::from(MatRef::<f64>::new(&[], 0, usize::MAX)).is_empty());
}

#[test]
fn predictions_are_what_ndarray_computes() {
    let mut network = DecoupledNetwork::<f64>::builder(3).dense(2, Activation::Identity).build().unwrap();
    // W column after column, then b.
    network.set_params(0, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0, -7.0, 8.0]).unwrap();
    let (weights, bias) = (array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], array![-7.0, 8.0]);
    let x = Array2::from_shape_fn((300, 3).f(), |(i, j)| ten(i, j));
    let inputs = Examples::try_from(x.view()).unwrap();
    let outputs = Array2::from(MatRef::from(&network.predict(&inputs).unwrap()));
    assert_eq!(outputs, x.dot(&weights.t()) + bias);
}

#[test]
fn labels_of_any_stride_reach_their_examples() {
    let labels = Array1::from(vec![0, 9, 1, 9, 2, 9]);
    let x = array![[5.0], [6.0], [7.0]];
    let inputs = Examples::try_from(x.view()).unwrap();
    let data = Dataset::classification(inputs, &labels.slice(s![..5;-2]).to_vec(), 3).unwrap();
    assert_eq!(data.labels(), Some(&[2, 1, 0][..]));
}
