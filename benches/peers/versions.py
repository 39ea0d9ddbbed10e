"""What the Python peers are, and which kernels their wheels run on this processor."""

from importlib.metadata import version

import numpy
import torch

names = ["torch", "numpy", "jax", "jaxlib", "equinox", "optax", "diffrax", "pcx", "jpc"]
print("#", ", ".join(f"{name} {version(name)}" for name in names))
found = numpy.show_config("dicts")["SIMD Extensions"].get("found", [])
print(f"# torch's wheel runs {torch.backends.cpu.get_cpu_capability()} kernels, its products MKL's own choice;", end=" ")
print(f"numpy's wheel finds {' '.join(found) or 'nothing beyond its baseline'}")
