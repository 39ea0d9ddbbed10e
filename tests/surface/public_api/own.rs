//! Parts of one's own: built-in ones under another name, all of whose methods hand on, and the checks of their contracts.

use decoupled::description::Description;
use decoupled::diagnostics::cost;
use decoupled::layer::{Activation, Change, Dense, Elementwise, Proximal, Regression, Shape, Tensor, Tied, Wiring};
use decoupled::loss::{Outputs, SoftmaxCrossEntropy};
use decoupled::method::activation_step::{Memory, Prepared};
use decoupled::method::energy::Objective;
use decoupled::method::schedule::Work;
use decoupled::method::{Block, ErrorSteps, Exact, GaussNewton, Group, Order, Sweeps};
use decoupled::optimizer::{Adam, Step};
use decoupled::rand::Rng;
use decoupled::{
    ActivationStep, DecoupledNetwork, Error, FitConfig, Layer, Loss, MatMut, MatRef, Method, Optimizer, Result, Scalar,
    check, linalg,
};

use super::{numbers, one};

#[derive(Debug)]
struct Own<P>(P);

impl<P: Layer<f64>> Layer<f64> for Own<P> {
    fn input_dim(&self) -> usize {
        self.0.input_dim()
    }
    fn output_dim(&self) -> usize {
        self.0.output_dim()
    }
    fn param_len(&self) -> usize {
        self.0.param_len()
    }
    fn cache_len(&self, examples: usize) -> usize {
        self.0.cache_len(examples)
    }
    fn name(&self) -> String {
        format!("my own {}", self.0.name())
    }
    fn validate(&self) -> Result<()> {
        self.0.validate()
    }
    fn has_derivative(&self) -> bool {
        self.0.has_derivative()
    }
    fn is_straight_through(&self) -> bool {
        self.0.is_straight_through()
    }
    fn output_range(&self) -> (f64, f64) {
        self.0.output_range()
    }
    fn operations(&self) -> usize {
        self.0.operations()
    }
    fn input_shape(&self) -> Shape {
        self.0.input_shape()
    }
    fn output_shape(&self, input: Shape) -> Shape {
        self.0.output_shape(input)
    }
    fn init_params(&self, params: &mut [f64], rng: &mut dyn Rng) {
        self.0.init_params(params, rng);
    }
    fn forward(&self, params: &[f64], input: MatRef<'_, f64>, output: MatMut<'_, f64>, cache: &mut [f64]) {
        self.0.forward(params, input, output, cache);
    }
    fn input_gradient(
        &self,
        params: &[f64],
        input: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        grad: MatMut<'_, f64>,
        cache: &mut [f64],
    ) {
        self.0.input_gradient(params, input, cotangent, grad, cache);
    }
    fn param_gradient(
        &self,
        params: &[f64],
        input: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        grad: &mut [f64],
        cache: &mut [f64],
    ) {
        self.0.param_gradient(params, input, cotangent, grad, cache);
    }
    fn regression(&self) -> Option<&dyn Regression<f64>> {
        self.0.regression()
    }
    fn proximal(&self) -> Option<&dyn Proximal<f64>> {
        self.0.proximal()
    }
    fn wiring(&self) -> Option<Wiring> {
        self.0.wiring()
    }
    fn tensors(&self) -> Vec<Tensor> {
        self.0.tensors()
    }
    fn describe(&self) -> Option<Description> {
        self.0.describe()
    }
}

impl<P: Loss<f64>> Loss<f64> for Own<P> {
    fn value(&self, target: MatRef<'_, f64>, prediction: MatRef<'_, f64>) -> f64 {
        self.0.value(target, prediction)
    }
    fn gradient(&self, target: MatRef<'_, f64>, prediction: MatRef<'_, f64>, grad: MatMut<'_, f64>) {
        self.0.gradient(target, prediction, grad);
    }
    fn target_gradient(&self, target: MatRef<'_, f64>, prediction: MatRef<'_, f64>, grad: MatMut<'_, f64>) {
        self.0.target_gradient(target, prediction, grad);
    }
    fn hessian_product(
        &self,
        target: MatRef<'_, f64>,
        prediction: MatRef<'_, f64>,
        direction: MatRef<'_, f64>,
        out: MatMut<'_, f64>,
    ) {
        self.0.hessian_product(target, prediction, direction, out);
    }
    fn outputs(&self) -> Outputs {
        self.0.outputs()
    }
    fn is_squared_error(&self) -> bool {
        self.0.is_squared_error()
    }
    fn validate(&self) -> Result<()> {
        self.0.validate()
    }
    fn check_targets(&self, targets: MatRef<'_, f64>) -> Result<()> {
        self.0.check_targets(targets)
    }
    fn serves_hidden(&self) -> bool {
        self.0.serves_hidden()
    }
    fn describe(&self) -> Option<Description> {
        self.0.describe()
    }
}

impl<T: Scalar, P: Optimizer<T>> Optimizer<T> for Own<P> {
    fn slots(&self) -> usize {
        self.0.slots()
    }
    fn is_elementwise(&self) -> bool {
        self.0.is_elementwise()
    }
    fn update(&self, step: Step<T>, params: &mut [T], grad: &mut [T], state: &mut [T]) {
        self.0.update(step, params, grad, state);
    }
    fn validate(&self) -> Result<()> {
        self.0.validate()
    }
    fn describe(&self) -> Option<Description> {
        self.0.describe()
    }
}

impl<P: ActivationStep<f64>> ActivationStep<f64> for Own<P> {
    fn steps(&self, depth: usize) -> usize {
        self.0.steps(depth)
    }
    fn groups(&self, depth: usize) -> Vec<Group> {
        self.0.groups(depth)
    }
    fn step(
        &self,
        objective: &Objective<'_, f64>,
        block: &mut Block<f64>,
        group: &Group,
        prepared: &Prepared<f64>,
        memory: &mut Memory<f64>,
    ) -> Result<()> {
        self.0.step(objective, block, group, prepared, memory)
    }
    fn adapt(
        &self,
        objective: &Objective<'_, f64>,
        sample: &mut Block<f64>,
        prepared: &mut Prepared<f64>,
    ) -> Result<()> {
        self.0.adapt(objective, sample, prepared)
    }
    fn prepare(&self, objective: &Objective<'_, f64>, group: &Group, prepared: &mut Prepared<f64>) -> Result<()> {
        self.0.prepare(objective, group, prepared)
    }
    fn optimizer(&self) -> Option<&dyn Optimizer<f64>> {
        self.0.optimizer()
    }
    fn work(&self) -> Work {
        self.0.work()
    }
    fn is_counted(&self) -> bool {
        self.0.is_counted()
    }
    fn streams(&self) -> bool {
        self.0.streams()
    }
    fn validate(&self) -> Result<()> {
        self.0.validate()
    }
    fn check(&self, objective: &Objective<'_, f64>) -> Result<()> {
        self.0.check(objective)
    }
    fn describe(&self) -> Option<Description> {
        self.0.describe()
    }
}

#[test]
fn steps_under_another_name_train_to_the_same_bits() -> Result<()> {
    let adaptive = Sweeps::reaching(Order::RedBlack, 0.3).optimizer(Adam::new(0.1)).stable(1.8);
    let exact = Exact { steps: 1, proximal: 1.0 };
    let builder = || DecoupledNetwork::<f64>::builder(2).store_pre_activations().threads(1);
    let pairs = [
        (Method::default().activation(adaptive.clone()), Method::default().activation(Own(adaptive))),
        (Method::error_based(2, 0.1), Method::error_based(2, 0.1).activation(Own(ErrorSteps::new(2, 0.1)))),
        (Method::bcd(1.0), Method::bcd(1.0).activation(Own(exact))),
        (Method::mac(1), Method::mac(1).activation(Own(GaussNewton::new(1)))),
    ];
    for (of_the_crate, own) in pairs {
        assert_eq!(of_the_crate.schedule(3), own.schedule(3));
        let trained = |method: &Method<f64>| {
            let net = builder().dense(3, Activation::Relu).dense(2, Activation::Identity).method(method.clone());
            let mut net = net.build()?;
            let report = net.fit(&numbers(), &FitConfig::new().epochs(3).batch_size(2))?;
            let margin = report.last().and_then(|epoch| epoch.stability_margin);
            Ok::<_, Error>((net.params(0).to_vec(), net.params(2).to_vec(), margin, cost(&net, Some(method), 4)))
        };
        assert_eq!(trained(&of_the_crate)?, trained(&own)?, "{own:?}");
    }
    Ok(())
}

#[test]
fn parts_of_ones_own_are_checked_rule_by_rule() -> Result<()> {
    let dense = Own(Dense::new(3, 2));
    check::layer(&dense)?;
    check::layer_at(&dense, 5, 1)?;
    assert_eq!(Layer::name(&dense), "my own Dense");
    assert!(dense.describe().is_some_and(|description| description.to_string().starts_with("Dense {")));
    let loss = Own(SoftmaxCrossEntropy::new());
    assert_eq!(loss.outputs(), Outputs::Classes);
    check::loss(&loss, 3)?;
    check::loss_at(&loss, one(&[0.0, 1.0, 0.0]), one(&[0.3, -1.0, 0.5]))?;
    check::optimizer::<f64>(&Own(Adam::new(0.1)))?;
    let rules = [check::LAYER_RULES, check::LOSS_RULES, check::OPTIMIZER_RULES].concat();
    assert!(rules.len() > 20 && rules.contains(&"forward_overwrites"));

    /// It does not move as its step says.
    #[derive(Debug)]
    struct Deaf;
    impl Optimizer<f64> for Deaf {
        fn update(&self, _: Step<f64>, params: &mut [f64], grad: &mut [f64], _: &mut [f64]) {
            params.iter_mut().zip(grad).for_each(|(p, g)| *p += *g);
        }
    }
    let Err(Error::Contract { rule, .. }) = check::optimizer(&Deaf) else { panic!("it was accepted") };
    assert!(check::OPTIMIZER_RULES.contains(&rule));
    Ok(())
}

#[test]
fn closed_forms_can_be_asked_by_themselves() -> Result<()> {
    let dense = Dense::new(1, 1);
    // u = 2z + 1 at z = 0 and z = 1.
    let (z, u) = ([0.0, 1.0], [1.0, 3.0]);
    let (z, u) = (MatRef::new(&z, 1, 2), MatRef::new(&u, 1, 2));
    let map: &dyn Regression<f64> = dense.regression().unwrap();
    let (mut params, mut wanted, mut moments) = ([0.0; 2], [0.0; 2], vec![0.0; map.moments_len()]);
    map.pre_activation(&params, z, u, MatMut::new(&mut wanted, map.pre_activation_dim(), 2))?;
    map.accumulate(z, MatRef::new(&wanted, 1, 2), &[], &mut moments);
    map.solve(&moments, 0.0, 0.0, &mut params, &mut Vec::new())?;
    assert!((params[0] - 2.0).abs() < 1e-12 && (params[1] - 1.0).abs() < 1e-12);
    let Change { squared, spread } = map.change(&moments, &[0.0; 2], &params);
    assert!((squared - 5.0).abs() < 1e-12 && spread == 0.0);

    // ½(5 − 2z − 1)² + ½(z − 0)² is least at 8/5.
    let inverse: &dyn Proximal<f64> = dense.proximal().unwrap();
    let (mut prepared, mut target, mut z) = (vec![0.0; inverse.prepared_len()], [5.0], [0.0]);
    inverse.prepare(&params, 1.0, &mut prepared, &mut Vec::new())?;
    inverse.solve(&params, &prepared, 1.0, MatMut::new(&mut target, 1, 1), MatMut::new(&mut z, 1, 1));
    assert!((z[0] - 1.6).abs() < 1e-12);
    Ok(())
}

#[test]
fn layers_tell_what_their_parameters_belong_to() {
    let own = Wiring::new([Tied::Weights, Tied::Outputs]).scales();
    assert_eq!(Layer::<f64>::wiring(&Dense::new(3, 2)), Some(own.clone()));
    let by_unit = Wiring::unit_by_unit([Tied::Inputs]);
    assert!(by_unit.is_unit_by_unit() && !own.is_unit_by_unit());
    assert_eq!(Layer::<f64>::wiring(&Elementwise::new(2, Activation::Relu)), Some(Wiring::unit_by_unit([]).scales()));
    let tensors = Layer::<f64>::tensors(&Dense::new(3, 2));
    assert_eq!(tensors, [Tensor::matrix("weight", 2, 3), Tensor::vector("bias", 2)]);
    assert_eq!((tensors[0].name(), tensors[0].size(), tensors[1].shape()), ("weight", (2, 3), vec![2]));
}

#[test]
fn matrices_are_slices_with_a_shape() {
    let values = [1.0, 2.0, 3.0, 4.0];
    let a = MatRef::new(&values, 2, 2);
    assert_eq!((a.rows(), a.cols(), a.column(1), a.as_slice()), (2, 2, &[3.0, 4.0][..], &values[..]));
    assert_eq!((a.columns().len(), a.view()[(0, 1)]), (2, 3.0));
    let mut out = [0.0; 4];
    let mut b = MatMut::new(&mut out, 2, 2);
    linalg::matmul(a, a, b.reborrow());
    assert_eq!(b.as_ref().as_slice(), [7.0, 10.0, 15.0, 22.0]);
    linalg::matmul_tn(a, a, b.reborrow());
    assert_eq!(b.as_mut_slice(), [5.0, 11.0, 11.0, 25.0]);
    linalg::matmul_nt(a, a, b.reborrow());
    assert_eq!((b.rows(), b.cols(), b.column_mut(0).to_vec()), (2, 2, vec![10.0, 14.0]));
    b.columns_mut().for_each(|column| column[0] = 0.0);
    b.view_mut()[(1, 1)] = -1.0;
    assert_eq!(b.into_mut_slice(), [0.0, 14.0, 0.0, -1.0]);
}
