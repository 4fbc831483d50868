"""CIFAR-10 from the folder that torchvision leaves, without trusting its pickles.

    FOLDER/cifar-10-batches-py/data_batch_1 ... data_batch_5, test_batch

Each file is a pickle of a dict: `data`, uint8 of shape (n, 3072), channels first, and
`labels`, a list of n numbers.  A pickle may call anything that it names; this reader
knows the three names that an array needs, and ends at any other.
"""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import EmptyInputError, FileFormatError, InvalidInputError

FOLDER = "cifar-10-batches-py"
TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST = ("test_batch",)
CLASSES, PIXELS = 10, 3072
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
#: The files of the data set have 31 MB each.
LARGEST_FILE = 2**27

_REBUILD = np.zeros(0, np.uint8).__reduce__()[0]
#: Where old and new versions of numpy look for the parts of an array.
_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _REBUILD,
    ("numpy._core.multiarray", "_reconstruct"): _REBUILD,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
#: What damaged pickles end in, as the documentation of the module warns.
_DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Part:
    """Images and their classes."""

    images: NDArray[np.uint8]  # (n, 3072): channel, row, column
    labels: NDArray[np.int64]  # (n,)

    def first(self, n: int | None) -> Part:
        """Return the first n samples, or all."""
        return Part(self.images[:n], self.labels[:n])

    def digest(self) -> str:
        """SHA-256 of images and labels."""
        sha = hashlib.sha256(self.images.tobytes())
        sha.update(self.labels.tobytes())
        return sha.hexdigest()


def read(folder: Path) -> tuple[Part, Part]:
    """Training and test part.

    Parameters
    ----------
    folder : Path
        Holds `cifar-10-batches-py`, or is that folder itself.
    """
    place = folder if folder.name == FOLDER else folder / FOLDER
    missing = [name for name in (*TRAIN, *TEST) if not (place / name).is_file()]
    if missing:
        raise InvalidInputError(
            f"{place} has no {', '.join(missing)}; unpack {SOURCE} in {place.parent}, "
            "or let torchvision.datasets.CIFAR10(root, download=True) do so"
        )
    return _joined(place, TRAIN), _joined(place, TEST)


def _joined(place: Path, names: tuple[str, ...]) -> Part:
    parts = [read_file(place / name) for name in names]
    return Part(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


class _Restricted(pickle.Unpickler):
    """Numbers, strings, lists, dicts and arrays; nothing that runs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no array needs"
            )
        return _KNOWN[module, name]


def read_file(path: Path) -> Part:
    """One batch of the data set."""
    if path.stat().st_size > LARGEST_FILE:
        raise FileFormatError(
            f"{path} has {path.stat().st_size} bytes, no batch of CIFAR-10 has more "
            f"than {LARGEST_FILE}; unpack {SOURCE} again"
        )
    try:
        with path.open("rb") as file:
            content = _Restricted(file, encoding="bytes").load()
    except _DAMAGE as error:
        raise FileFormatError(
            f"{path} is damaged, or no batch of CIFAR-10: {error}; unpack {SOURCE} "
            "again"
        ) from error
    return _checked(path, content)


def _checked(path: Path, content: Any) -> Part:
    """The batch, if it is one."""

    def refuse(what: str) -> FileFormatError:
        return FileFormatError(f"{path}: {what}; unpack {SOURCE} again")

    if not isinstance(content, dict):
        raise refuse(f"a {type(content).__name__} in place of a dict")
    # Files of Python 2 have bytes for keys.
    named = {
        k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in content.items()
    }
    images, labels = named.get("data"), named.get("labels")
    if not isinstance(images, np.ndarray) or not isinstance(labels, list):
        raise refuse("no array 'data' and list 'labels'")
    if images.dtype != np.uint8 or images.shape != (len(labels), PIXELS):
        raise refuse(
            f"'data' is {images.dtype} of shape {images.shape}, not uint8 of shape "
            f"({len(labels)}, {PIXELS})"
        )
    wrong = [
        i
        for i, label in enumerate(labels)
        if type(label) is not int or not 0 <= label < CLASSES
    ]
    if wrong:
        raise refuse(f"label {labels[wrong[0]]!r} of image {wrong[0]} is not 0, ..., 9")
    if not labels:
        raise EmptyInputError(f"{path} has no images; unpack {SOURCE} again")
    return Part(images, np.array(labels, np.int64))
