"""Arrays of every type, order of bytes and entries, version and shape that tests/data/npy.rs reads, with the numbers that NumPy has for
them (2.4.6 made the file there):

    python3 tests/npy/grid.py > tests/npy/grid.txt

A line is the start of a file up to its dictionary, the dictionary without its padding, the entries, and then the numbers of
x.reshape(len(x), -1) as float64 and as float32. Every header ends at byte 127.
"""

import io

import numpy as np

KINDS = ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
SHAPES = [(4,), (3, 1), (2, 3), (2, 3, 2), (2, 1, 2, 3)]


def values(kind, start, count):
    """The ends of the type, numbers that float32 has to round, and others, from another one on in every file."""
    if kind == "b1":
        known = [True, False, False, True, True]
    elif kind[0] == "f":
        info = np.finfo(kind)
        largest = min(float(info.max), float(np.finfo("f4").max))
        known = [1.5, -0.0, largest, float(info.smallest_subnormal), -float(info.tiny), 1 / 3, np.inf, np.nan, -2.5]
    else:
        info = np.iinfo(kind)
        known = [info.max, info.min, 0, 1, info.max - 1, info.max // 3]
        if info.bits == 64:
            # Rounded first to float64, these would be ties for float32.
            known += [2**54 + 2**30 + 1, 2**62 - 2**37 - 1]
        if info.bits >= 32:
            known += [2**24 + 1, 2**24 + 3]
    return [known[i % len(known)] for i in range(start, start + count)]


def number(x):
    return "nan" if np.isnan(x) else repr(float(x))


files = 0
for kind in KINDS:
    for shape in SHAPES:
        for big in [False, True]:
            for fortran in [False, True]:
                files += 1
                version = files % 3 + 1
                x = np.array(values(kind, files, np.prod(shape)), kind).reshape(shape)
                x = x.astype((">" if big else "<") + kind)
                x = np.asfortranarray(x) if fortran else x
                file = io.BytesIO()
                np.lib.format.write_array(file, x, version=(version, 0))
                file = file.getvalue()
                at = 10 if version == 1 else 12
                assert file.index(b"\n", at) == 127
                table = x.reshape(len(x), -1)
                with np.errstate(over="ignore"):
                    rows = [",".join(number(v) for v in table.astype(to).ravel()) for to in ("f8", "f4")]
                print(file[:at].hex(), file[at:127].decode().rstrip(), file[128:].hex(), *rows, sep=";")
