"""jpc: `jpc_peer.py pc_heun`, or `jpc_peer.py energies FILE` for the accuracy of its relaxation."""

import sys

import diffrax
import equinox
import jax
import jax.numpy as jnp
import jpc
import numpy
import optax

from serve import mnist, one_hot, serve

BATCH = 64


def main(job, file=None):
    pixels, labels = mnist()
    targets = one_hot(labels)
    model = jpc.make_mlp(jax.random.PRNGKey(0), [784, 300, 300, 10], act_fn="relu")
    optim = optax.adam(1e-3)
    state = optim.init((equinox.filter(model, equinox.is_array), None))
    rng = numpy.random.default_rng(0)

    def epoch():
        nonlocal model, state
        for begin in range(0, len(order := rng.permutation(len(pixels))), BATCH):
            batch = order[begin : begin + BATCH]
            result = jpc.make_pc_step(model, optim, state, output=targets[batch], input=pixels[batch])
            model, state = result["model"], result["opt_state"]
        jax.block_until_ready(equinox.filter(model, equinox.is_array))

    @equinox.filter_jit
    def right(model, x, y):
        return (jpc.init_activities_with_ffwd(model, x)[-1].argmax(axis=-1) == y).sum()

    def score():
        parts = numpy.split(numpy.arange(len(pixels)), len(pixels) // 1000)
        return sum(int(right(model, pixels[part], labels[part])) for part in parts) / len(pixels)

    if job == "energies":
        trained = 0
        for epochs in [0, 1, 4]:
            while trained < epochs:
                epoch()
                trained += 1
            print(f"# after {epochs} epochs: {energies(model, pixels[:BATCH], targets[:BATCH])}", flush=True)
            save(f"{file}.{epochs}", model, pixels[:BATCH], targets[:BATCH])
    else:
        serve(epoch, score)


def energies(model, x, y):
    """The energy per example before and after the relaxation, and the steps of the solver."""
    start = jpc.init_activities_with_ffwd(model, x)
    energy = lambda z: float(jpc.pc_energy_fn((model, None), z, y, x))
    end = jpc.solve_inference((model, None), start, y, input=x)
    controller = diffrax.PIDController(rtol=1e-3, atol=1e-3)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(jpc.neg_activity_grad),
        diffrax.Heun(),
        t0=0,
        t1=20,
        dt0=None,
        y0=start,
        args=((model, None), y, x, 0, "MSE", "SP", controller),
        stepsize_controller=controller,
    )
    steps = int(solution.stats["num_steps"])
    return f"energy {energy(start):.6f} -> {energy([z[0] for z in end]):.6f}, {steps} steps"


def save(file, model, x, y):
    """What `ours energies` reads."""
    arrays = [array for layer in model for array in (layer.layers[0].weight.T, layer.layers[0].bias)] + [x, y]
    numpy.concatenate([numpy.asarray(array, numpy.float32).ravel() for array in arrays]).tofile(file)


main(*sys.argv[1:])
