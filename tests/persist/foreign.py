"""Tensors of other programs that tests/files/persist.rs reads, of every precision (safetensors 0.8.0 and NumPy 2.4.6 made the file there):

    python3 tests/persist/foreign.py > tests/persist/foreign.txt

A line is a name, a file that Python's safetensors takes, and the numbers of 0.weight, 2 × 3 and row by row, and then of 0.bias, as
float64 and as float32.
"""

import json
import struct

import numpy as np
import safetensors

weight = np.array([[1 / 3, -2.5, 6e-8], [1e-5, 65504.0, -0.1]])
bias = np.array([0.7, -1 / 7])
CODES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


def encoded(x, dtype):
    """Bytes of x, and its numbers."""
    if dtype == "BF16":
        words = [struct.unpack("<I", struct.pack("<f", v))[0] >> 16 for v in x.ravel()]
        values = [struct.unpack("<f", struct.pack("<I", word << 16))[0] for word in words]
        return struct.pack(f"<{len(words)}H", *words), values
    x = x.astype(CODES[dtype])
    return x.tobytes(), x.astype("f8").ravel().tolist()


def show(name, dtypes=("F64", "F64"), order=("0.weight", "0.bias"), before=(), after=(), extra=(), start="", end=""):
    tensors = {"0.weight": (weight, dtypes[0]), "0.bias": (bias, dtypes[1])}
    header, data, values = dict(before), b"", {}
    for key in order:
        x, dtype = tensors[key]
        content, values[key] = encoded(x, dtype)
        offsets = [len(data), len(data) + len(content)]
        header[key] = {"dtype": dtype, "shape": list(x.shape), "data_offsets": offsets} | dict(extra)
        data += content
    header |= dict(after)
    text = (start + json.dumps(header) + end).encode()
    file = struct.pack("<Q", len(text)) + text + data
    assert len(safetensors.deserialize(file)) == 2
    values = np.array(values["0.weight"] + values["0.bias"])
    rows = [",".join(repr(float(v)) for v in values.astype(to)) for to in ("f8", "f4")]
    print(name, file.hex(), *rows, sep=";")


for dtype in ["F64", "F32", "F16", "BF16"]:
    show(dtype, (dtype, dtype))
show("mixed", ("F16", "F64"))
note = {"__metadata__": {"format": "pt"}}
show("metadata_first", before=note)
show("metadata_last", after=note)
show("metadata_null", after={"__metadata__": None})
show("bias_first", order=("0.bias", "0.weight"))
show("blanks", start=" \n", end="  \t" + " " * 77)
show("more_fields", extra={"note": [1, 2]})
