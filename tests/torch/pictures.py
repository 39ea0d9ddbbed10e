"""Writes pictures.csv beside this file, with PyTorch 2.15 in float64: outputs and gradients of layers of pictures, for two examples.

Inputs are sin(i), parameters cos(0.7 i), cotangents sin(1.3 i + 1), i from 0 in PyTorch's order.
"""

import math
import pathlib

import torch
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent

# Input, output channels, kernel, stride, padding, dilation, groups.
CONVOLUTIONS = {
    "plain": ([2, 5, 6], 3, [3, 2], [1, 1], [0, 0], [1, 1], 1),
    "same": ([1, 4, 5], 2, [3, 3], [1, 1], [1, 1], [1, 1], 1),
    "settings": ([4, 7, 6], 6, [3, 2], [2, 1], [2, 1], [1, 3], 2),
    "depthwise": ([3, 5, 4], 6, [2, 3], [1, 2], [0, 2], [2, 1], 3),
}

# Input, output channels, kernel, stride, padding, output padding, dilation, groups.
TRANSPOSED = {
    "transposed": ([2, 3, 4], 3, [3, 2], [1, 1], [0, 0], [0, 0], [1, 1], 1),
    "transposed with a stride": ([3, 4, 3], 4, [3, 2], [2, 3], [1, 0], [1, 2], [1, 1], 1),
    "transposed in groups": ([4, 3, 2], 6, [2, 3], [1, 2], [1, 2], [0, 0], [2, 1], 2),
}

# Input, output channels, kernel, stride, padding, dilation, groups.
SEQUENCES = {
    "sequence": ([2, 7], 3, [3], 1, 0, 1, 1),
    "sequence with settings": ([4, 9], 6, [3], 2, 2, 2, 2),
}

# Input, groups, epsilon.
NORMALISATIONS = {
    "groups": ([6, 3, 2], 3, 1e-5),
    "a group of all": ([3, 4, 2], 1, 0.1),
    "a group each": ([3, 4, 2], 3, 1e-5),
}

WITHOUT_PARAMETERS = {
    "max": ([2, 5, 6], lambda x: F.max_pool2d(x, [2, 3])),
    "max overlapping": ([2, 5, 6], lambda x: F.max_pool2d(x, [3, 2], stride=[1, 2])),
    "mean": ([3, 4, 5], lambda x: F.avg_pool2d(x, [2, 2])),
    "mean overlapping": ([3, 4, 5], lambda x: F.avg_pool2d(x, [3, 2], stride=[1, 1])),
    "enlarged": ([2, 3, 2], lambda x: F.interpolate(x, scale_factor=(2, 3), mode="nearest")),
    "mean of all": ([3, 4, 5], lambda x: F.adaptive_avg_pool2d(x, 1)),
}


def numbers(shape, f):
    values = [f(i) for i in range(math.prod(shape))]
    return torch.tensor(values, dtype=torch.float64).reshape(shape).requires_grad_()


def rows(name, function, shape, *shapes):
    x, parameters, start = numbers([2, *shape], math.sin), [], 0
    for parameter in shapes:
        parameters.append(numbers(parameter, lambda i: math.cos(0.7 * (start + i))))
        start += math.prod(parameter)
    y = function(x, *parameters)
    y.backward(numbers(y.shape, lambda i: math.sin(1.3 * i + 1)).detach())
    yield name, "output", y
    yield name, "input gradient", x.grad
    if parameters:
        yield name, "parameter gradient", torch.cat([p.grad.flatten() for p in parameters])


def block(x, weight, bias, other, other_bias):
    inner = torch.tanh(F.conv2d(x, weight, bias, stride=2, padding=1))
    return inner + F.conv2d(x, other, other_bias, stride=2)


def all_rows():
    for name, (shape, channels, kernel, stride, padding, dilation, groups) in {**CONVOLUTIONS, **SEQUENCES}.items():
        function = F.conv2d if name in CONVOLUTIONS else F.conv1d
        convolve = lambda x, w, b: function(x, w, b, stride, padding, dilation, groups)
        yield from rows(name, convolve, shape, [channels, shape[0] // groups, *kernel], [channels])
    for name, (shape, channels, kernel, stride, padding, added, dilation, groups) in TRANSPOSED.items():
        transpose = lambda x, w, b: F.conv_transpose2d(x, w, b, stride, padding, added, groups, dilation)
        yield from rows(name, transpose, shape, [shape[0], channels // groups, *kernel], [channels])
    yield from rows("block", block, [2, 5, 4], [3, 2, 3, 3], [3], [3, 2, 1, 1], [3])
    for name, (shape, groups, epsilon) in NORMALISATIONS.items():
        normalise = lambda x, g, b: F.group_norm(x, groups, g, b, epsilon)
        yield from rows(name, normalise, shape, [shape[0]], [shape[0]])
    for name, (shape, function) in WITHOUT_PARAMETERS.items():
        yield from rows(name, function, shape)


lines = [",".join([name, of, *(repr(v) for v in t.flatten().tolist())]) for name, of, t in all_rows()]
(HERE / "pictures.csv").write_text("\n".join(lines) + "\n")
