"""pcx: predictive coding as its tutorials write it, `pcx_peer.py JOB`."""

import sys

import jax
import numpy
import optax
import pcx
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

from serve import mnist, one_hot, serve

STEPS, BATCH = 8, 128
# Channels of the convolutions, and widths of the dense layers.
NETS = {"pc": ([], [784, 256, 256, 10]), "pc_lenet": ([1, 6, 16], [784, 120, 84, 10])}


class Model(pxc.EnergyModule):
    def __init__(self, channels, widths):
        super().__init__()
        convolutions = [pxnn.Conv2d(*pair, 5, padding=2) for pair in zip(channels, channels[1:])]
        self.layers = convolutions + [pxnn.Linear(*pair) for pair in zip(widths, widths[1:])]
        self.pool = pxnn.MaxPool2d(2, 2)
        self.vodes = [pxc.Vode() for _ in self.layers[1:]] + [pxc.Vode(pxc.ce_energy)]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y):
        if isinstance(self.layers[0], pxnn.Conv2d):
            x = x.reshape(1, 28, 28)
        for layer, vode in zip(self.layers[:-1], self.vodes):
            if isinstance(layer, pxnn.Conv2d):
                x = self.pool(jax.nn.leaky_relu(layer(x)))
            else:
                x = jax.nn.leaky_relu(layer(x.reshape(-1)))
            x = vode(x)
        self.vodes[-1](self.layers[-1](x))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


PER_EXAMPLE = pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0))


@pxf.vmap(PER_EXAMPLE, in_axes=(0, 0), out_axes=0)
def forward(x, y, *, model):
    return model(x, y)


@pxf.vmap(PER_EXAMPLE, in_axes=(0,), out_axes=(None, 0), axis_name="batch")
def energy(x, *, model):
    outputs = model(x, None)
    return jax.lax.psum(model.energy(), "batch"), outputs


@pxf.jit()
def train(x, y, *, model, optim_w, optim_h):
    model.train()
    free = pxu.M_hasnot(pxc.VodeParam, frozen=True)
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        forward(x, y, model=model)
    optim_h.init(free(model))
    for _ in range(STEPS):
        with pxu.step(model, clear_params=pxc.VodeParam.Cache):
            _, g = pxf.value_and_grad(free.to([False, True]), has_aux=True)(energy)(x, model=model)
        optim_h.step(model, g["model"])
    optim_h.clear()
    with pxu.step(model, clear_params=pxc.VodeParam.Cache):
        _, g = pxf.value_and_grad(pxu.M(pxnn.LayerParam).to([False, True]), has_aux=True)(energy)(x, model=model)
    optim_w.step(model, g["model"], scale_by=1 / BATCH)


@pxf.jit()
def right(x, y, *, model):
    model.eval()
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        return (forward(x, None, model=model).argmax(axis=-1) == y).sum()


def main():
    pixels, labels = mnist()
    targets = one_hot(labels)
    model = Model(*NETS[sys.argv[1]])
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        forward(numpy.zeros((BATCH, 784), numpy.float32), None, model=model)
    optim_h = pxu.Optim(lambda: optax.sgd(1e-2, momentum=0.5, nesterov=True))
    optim_w = pxu.Optim(lambda: optax.adam(1e-3), pxu.M(pxnn.LayerParam)(model))
    rng = numpy.random.default_rng(0)

    def batches(order):
        """As in the tutorials, what does not fill a batch is dropped: everything is compiled for one size."""
        return order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)

    def epoch():
        for batch in batches(rng.permutation(len(pixels))):
            train(pixels[batch], targets[batch], model=model, optim_w=optim_w, optim_h=optim_h)
        jax.block_until_ready(model.layers[0].nn.weight.get())

    def score():
        parts = batches(numpy.arange(len(pixels)))
        return sum(int(right(pixels[part], labels[part], model=model)) for part in parts) / parts.size

    serve(epoch, score)


main()
