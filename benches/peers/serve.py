"""What the Python workers share: the data, and how they are told what to do."""

import os
import pathlib
import sys
import time

import numpy

THREADS = 2


def mnist():
    """The training part: pixels in [0, 1], examples × 784, and labels."""
    folder = pathlib.Path(os.environ["MNIST_DIR"])

    def read(name, kind, header):
        path = folder / f"{name}.{kind}"
        path = path if path.is_file() else folder / f"{name}-{kind}"
        return numpy.fromfile(path, numpy.uint8, offset=header)

    pixels = read("train-images", "idx3-ubyte", 16).reshape(-1, 784)
    return pixels.astype(numpy.float32) / 255, read("train-labels", "idx1-ubyte", 8).astype(numpy.int64)


def one_hot(labels):
    return numpy.eye(10, dtype=numpy.float32)[labels]


def serve(epoch, score):
    """Answers the lines of the standard input: to `epoch` with the seconds that an epoch took, to `score` with the score on
    the training data."""
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "epoch":
            begin = time.perf_counter()
            epoch()
            print(time.perf_counter() - begin, flush=True)
        else:
            print(float(score()), flush=True)
