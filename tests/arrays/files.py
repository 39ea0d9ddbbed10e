"""Archives and packed files that tests/data/arrays.rs reads, as NumPy and Python write them (NumPy 2.4.6, Python 3 made the file there):

    python3 tests/arrays/files.py > tests/arrays/files.txt

A line is a name, the bytes of a file, and what NumPy reads there: of an archive every array by its name, its shape when the axes behind
the first are one, and its numbers as float64; of a file that is packed itself a single one without a name.
"""

import gzip
import io
import zipfile

import numpy as np

rng = np.random.default_rng(18)
table = rng.normal(size=(3, 2)).astype("f4")
labels = np.array([2, 0, 1])
pictures = rng.integers(0, 256, (3, 4, 5), "u1")
arrays = {"x": table, "labels": labels, "pictures": pictures}


def numbers(x):
    x = x.reshape(len(x), -1)
    return f"{x.shape[0]}x{x.shape[1]}:" + ",".join(repr(float(v)) for v in x.ravel())


def show(name, file):
    read = np.load(io.BytesIO(file))
    print(name, file.hex(), *(f"{key}={numbers(read[key])}" for key in read.files), sep=";")


def archive(save, *positional, **named):
    file = io.BytesIO()
    save(file, *positional, **named)
    return file.getvalue()


class Pipe(io.RawIOBase):
    """Takes bytes and knows no places, so that lengths and sums follow the members."""

    def __init__(self):
        self.bytes = b""

    def write(self, data):
        self.bytes += bytes(data)
        return len(data)

    def writable(self):
        return True


def npy(x):
    return archive(np.save, x)


def zipped(members, comment=b"", method=zipfile.ZIP_STORED, level=None):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for name, content in members:
            out.writestr(zipfile.ZipInfo(name), content, method, level)
        out.comment = comment
    return file.getvalue()


show("stored", archive(np.savez, **arrays))
show("packed", archive(np.savez_compressed, **arrays))
show("unnamed", archive(np.savez, table, labels))
show("fortran", archive(np.savez_compressed, x=np.asfortranarray(pictures.astype(">f8"))))
show("zeros", archive(np.savez_compressed, x=np.zeros((2, 4000))))
show("other_letters", archive(np.savez, **{"größe": table, "長さ": labels, "a.b/c": labels}))
for name, save in [("streamed", np.savez), ("streamed_packed", np.savez_compressed)]:
    pipe = Pipe()
    save(pipe, **arrays)
    show(name, pipe.bytes)
show("comment", zipped([("x.npy", npy(table))], b"said at the end"))
show("best", zipped([("x.npy", npy(pictures))], method=zipfile.ZIP_DEFLATED, level=9))
# As if members were beyond 4 GB.
zipfile.ZIP64_LIMIT = 16
show("wide", zipped([("x.npy", npy(table)), ("y.npy", npy(labels))]))
show("wide_packed", zipped([("x.npy", npy(table)), ("y.npy", npy(labels))], method=zipfile.ZIP_DEFLATED))

# Those that are refused.
zipfile.ZIP64_LIMIT = 1 << 31
print("bzip2", zipped([("x.npy", npy(table))], method=zipfile.ZIP_BZIP2).hex(), sep=";")
print("note", zipped([("x.npy", npy(table)), ("note.txt", "of the 1st")]).hex(), sep=";")
print("none", zipped([]).hex(), sep=";")


def gz(content, level=9):
    return gzip.compress(content, level, mtime=0)


def idx(x):
    return bytes([0, 0, 8, x.ndim]) + b"".join(n.to_bytes(4, "big") for n in x.shape) + x.tobytes()


named = io.BytesIO()
with gzip.GzipFile("train-images-idx3-ubyte", "wb", fileobj=named, mtime=1e9) as out:
    out.write(idx(pictures))
digits = np.array([2, 0, 9], "u1")
print("images", gz(idx(pictures)).hex(), "=" + numbers(pictures / 255), sep=";")
print("images_named", named.getvalue().hex(), "=" + numbers(pictures / 255), sep=";")
print("images_unpacked", idx(pictures).hex(), "=" + numbers(pictures / 255), sep=";")
print("digits", gz(idx(digits)).hex(), "=" + numbers(digits), sep=";")
print("digits_unpacked", idx(digits).hex(), "=" + numbers(digits), sep=";")
print("npy", gz(npy(table)).hex(), "=" + numbers(table), sep=";")
print("npy_stored", gz(npy(table), 0).hex(), "=" + numbers(table), sep=";")
# gzip files one after the other are one file.
print("npy_parts", (gz(npy(table)[:77]) + gz(npy(table)[77:])).hex(), "=" + numbers(table), sep=";")
print("npy_unpacked", npy(table).hex(), "=" + numbers(table), sep=";")
