"""What the Python peers are, and which kernels their wheels run on this processor."""

from importlib.metadata import PackageNotFoundError, version

import numpy
import torch

names = ["torch", "numpy", "jax", "jaxlib", "equinox", "optax", "diffrax", "pcx", "jpc"]


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


print("#", ", ".join(f"{name} {installed(name)}" for name in names))
found = numpy.show_config("dicts")["SIMD Extensions"].get("found", [])
print(f"# torch's wheel runs {torch.backends.cpu.get_cpu_capability()} kernels;", end=" ")
print(f"numpy's wheel finds {' '.join(found) or 'nothing beyond its baseline'}")
