"""What tests/data/npy.rs reads, as numpy writes it (2.4.6 made the files there):

    python3 tests/npy/files.py > tests/npy/files.txt

A line is a name, what stands before the dictionary, the dictionary without its padding, and the entries. Every header ends at
byte 127.
"""

import io

import numpy as np

reals = np.array([[1.5, -0.0, 3.25], [1e30, -2.5, 0.125]])


def show(name, array, version=None):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version)
    bytes = file.getvalue()
    start = 10 if bytes[6] == 1 else 12
    assert bytes.index(b"\n", start) == 127
    print(name, bytes[:start].hex(), bytes[start:127].decode().rstrip(), bytes[128:].hex(), sep="|")


show("c_f8", reals)
show("fortran_f8", np.asfortranarray(reals))
show("big_f8", reals.astype(">f8"))
show("fortran_big_f4", np.asfortranarray(reals.astype(">f4")))
show("c_f4", reals.astype("<f4"))
show("f4_version_2", reals.astype("<f4"), (2, 0))
show("f4_version_3", reals.astype("<f4"), (3, 0))
show("sliced_i8", np.arange(12).reshape(3, 4)[::-1, ::2] - 5)
show("i4", np.array([[-7, 2147483647], [0, -2147483648]], "<i4"))
show("big_i4", np.array([[-7, 2147483647], [0, -2147483648]], ">i4"))
show("big_i8", np.array([3, 0, 70000], ">i8"))
show("u1", np.array([0, 1, 255], "u1"))
show("bool", np.array([[True], [False]]))
show("precise_i8", np.array([2**53 + 1]))
show("scalar", np.array(1.0))
show("cube", np.zeros((1, 1, 1)))
show("half", np.array([1.0], "f2"))
show("record", np.array([(1.0, 2)], [("x", "<f8"), ("y", "<i8")]))
show("long_double", np.zeros(1, np.longdouble))
show("complex", np.zeros(1, complex))
show("text", np.array(["a"]))
show("bytes", np.array([b"a"]))
show("dates", np.array(["2020-01-01"], "M8[s]"))
show("objects", np.array([None]))
show("no_examples", np.zeros((0, 2)))
show("no_features", np.zeros((2, 0)))
