"""Finds the library, and chooses the kernel that suits the processor.

It is called by ctypes, with plain arrays, and lets other Python threads run meanwhile. The environment variable
SPACY_ELMO_NATIVE switches it off (`0`), or names the instructions that may be used at most (such as `avx2`).
"""

import ctypes
import os
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_bool, c_char_p, c_float, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import ElmoError

VARIABLE = "SPACY_ELMO_NATIVE"

# As in kernel.hpp.
PANEL = 64

Array = npt.NDArray[np.float32]


def padded(n: int) -> int:
    """See kernel.hpp."""
    return -(-n // PANEL) * PANEL


class NativeError(ElmoError, ValueError):
    """The environment asks for a kernel that this processor, or this installation, has not."""


class Layer(Structure):
    """See kernel.hpp."""

    _fields_ = (("input", c_void_p), ("state", c_void_p), ("projection", c_void_p), ("bias", c_void_p))


class Batch(Structure):
    """See kernel.hpp."""

    _fields_ = (
        ("n_layers", c_int64),
        ("width", c_int64),
        ("cell_dim", c_int64),
        ("skip_connections", c_int64),
        ("cell_clip", c_float),
        ("projection_clip", c_float),
        ("words", c_void_p),
        ("n_words", c_int64),
        ("sizes", c_void_p),
        ("n_steps", c_int64),
        ("output_layer_stride", c_int64),
        ("output_row_stride", c_int64),
        ("chunk_rows", c_int64),
        ("n_groups", c_int64),
        ("summed", c_void_p),
    )


class Direction(Structure):
    """See kernel.hpp."""

    _fields_ = (
        ("layers", POINTER(Layer)),
        ("types", c_void_p),
        ("places", c_void_p),
        ("hidden", c_void_p),
        ("cell", c_void_p),
        ("output", c_void_p),
    )


class Linear(Structure):
    """See kernel.hpp."""

    _fields_ = (
        ("x", c_void_p),
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("y", c_void_p),
        ("n_inputs", c_int64),
        ("n_outputs", c_int64),
    )


class Cells(Structure):
    """See kernel.hpp."""

    _fields_ = (
        ("products", c_void_p),
        ("bias", c_void_p),
        ("gates", c_void_p),
        ("before", c_void_p),
        ("cells", c_void_p),
        ("squashed", c_void_p),
        ("exposed", c_void_p),
        ("d_gates", c_void_p),
        ("d_cells", c_void_p),
        ("keep", c_void_p),
        ("cell_dim", c_int64),
        ("clip", c_float),
        ("is_half", c_int64),
    )


class Scores(Structure):
    """See kernel.hpp."""

    _fields_ = (
        ("logits", c_void_p),
        ("is_half", c_int64),
        ("bias", c_void_p),
        ("hits", c_void_p),
        ("true_logits", c_void_p),
        ("d_true", c_void_p),
        ("losses", c_void_p),
        ("d_bias", c_void_p),
        ("memory", c_void_p),
        ("n_classes", c_int64),
    )


class Convolution(Structure):
    """See kernel.hpp."""

    _fields_ = (
        ("ids", c_void_p),
        ("lengths", c_void_p),
        ("embedding", c_void_p),
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("maxima", c_void_p),
        ("places", c_void_p),
        ("d_embedding", c_void_p),
        ("d_weight", c_void_p),
        ("d_bias", c_void_p),
        ("characters", c_void_p),
        ("d_characters", c_void_p),
        ("max_characters", c_int64),
        ("dim", c_int64),
        ("width", c_int64),
        ("count", c_int64),
        ("n_filters", c_int64),
        ("first_filter", c_int64),
    )


# In the order of kernel.hpp.
STRUCTS: tuple[type[Structure], ...] = (Layer, Batch, Direction, Linear, Cells, Scores, Convolution)


def _path() -> Path | None:
    places = (Path(__file__).with_name(f"_kernel{suffix}") for suffix in EXTENSION_SUFFIXES)
    return next((place for place in places if place.exists()), None)


def _is_stale(path: Path) -> bool:
    """Whether its sources, which lie beside it in a checkout alone, are newer: its structures may be others then."""
    sources = (one for pattern in ("*.cpp", "*.hpp", "*.inc") for one in path.parent.glob(pattern))
    return any(source.stat().st_mtime > path.stat().st_mtime for source in sources)


def _has_our_structs(library: ctypes.CDLL) -> bool:
    """By their sizes. Of a library that was copied, the time says nothing."""
    if not hasattr(library, "elmo_sizes"):
        return False
    library.elmo_sizes.argtypes, library.elmo_sizes.restype = [], POINTER(c_int64)
    return library.elmo_sizes()[: len(STRUCTS)] == [ctypes.sizeof(struct) for struct in STRUCTS]


def _library() -> ctypes.CDLL | None:
    return _found()[0]


@cache
def _found() -> tuple[ctypes.CDLL | None, str]:
    """The library, or why there is none that can be used."""
    path = _path()
    if path is None:
        return None, "the package was built without a C++ compiler"
    old = "the kernel is older than its sources: pip install --editable . builds it anew"
    if _is_stale(path):
        return None, old
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:  # built for another system
        return None, f"the kernel cannot be loaded: {error}"
    if not _has_our_structs(library):
        return None, old
    signatures: dict[str, tuple[Sequence[type], type | None]] = {
        "elmo_n_kernels": ([], c_int64),
        "elmo_kernel_name": ([c_int64], c_char_p),
        "elmo_kernel_precision": ([c_int64], c_char_p),
        "elmo_kernel_available": ([c_int64], c_bool),
        "elmo_packed_bytes": ([c_int64, c_bool, c_int64, c_int64], c_int64),
        "elmo_pack": ([c_int64, c_void_p, c_int64, c_int64, c_int64, c_bool, c_void_p], None),
        "elmo_run": ([c_int64, POINTER(Batch), POINTER(Direction), c_int64], c_bool),
        "elmo_cells": ([c_int64, c_bool, POINTER(Cells), c_int64, c_int64], None),
        "elmo_convolve": ([c_int64, c_bool, POINTER(Convolution), c_int64], None),
        "elmo_scores": ([c_int64, POINTER(Scores), c_int64], None),
        "elmo_multiply_add": ([c_int64, POINTER(Linear), c_int64, c_int64], None),
    }
    for name, (arguments, result) in signatures.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library, ""


@dataclass(frozen=True)
class NativeKernel:
    """One way to compute, that this processor can.

    Attributes:
        number: Of the library.
        name: The instructions that it takes.
        precision: Of its products.
    """

    number: int
    name: str
    precision: str

    def pack(self, weight: Array, *, gates: bool) -> npt.NDArray[np.uint8]:
        """A weight (n_outputs, n_inputs) as the kernel reads it, in memory that begins where a cache line does.

        Args:
            weight: Its rows in one piece each.
            gates: Whether its rows are the four gates of cells.
        """
        library, (n_outputs, n_inputs) = _loaded(), weight.shape
        n_bytes = library.elmo_packed_bytes(self.number, gates, n_outputs, n_inputs)
        memory = np.empty(n_bytes + 63, dtype=np.uint8)
        packed = memory[-memory.ctypes.data % 64 :][:n_bytes]
        stride = weight.strides[0] // weight.itemsize
        if weight.dtype != np.float32 or weight.strides[1] != weight.itemsize:
            raise TypeError(f"A kernel takes rows of float32 in one piece each, not {weight.dtype} {weight.strides}.")
        library.elmo_pack(self.number, weight.ctypes.data, n_outputs, n_inputs, stride, gates, packed.ctypes.data)
        return packed

    def run(self, batch: Batch, directions: Sequence[Direction], n_threads: int) -> None:
        """Both directions of a batch.

        Raises:
            MemoryError: There is none left.
        """
        if not _loaded().elmo_run(self.number, batch, (Direction * 2)(*directions), n_threads):
            raise MemoryError("There is not enough memory for the states of a batch of sentences.")

    def multiply_add(self, linear: Linear, n_rows: int, n_threads: int) -> None:
        """A linear layer; for kernels of float32."""
        _loaded().elmo_multiply_add(self.number, linear, n_rows, n_threads)

    def step(self, cells: Cells, n_rows: int, n_threads: int, *, backward: bool) -> None:
        """What training computes of a step between its products, forward or backward; for kernels of float32."""
        _loaded().elmo_cells(self.number, backward, cells, n_rows, n_threads)

    def scores(self, scores: Scores, n_rows: int) -> None:
        """What training computes of a softmax between its products; for kernels of float32."""
        _loaded().elmo_scores(self.number, scores, n_rows)

    def convolve(self, convolution: Convolution, n_words: int, *, backward: bool) -> None:
        """What training computes of the filters of one width, forward or backward; for kernels of float32."""
        _loaded().elmo_convolve(self.number, backward, convolution, n_words)


def _loaded() -> ctypes.CDLL:
    library = _library()
    assert library is not None  # who has a kernel has it from there
    return library


@cache
def kernels() -> tuple[NativeKernel, ...]:
    """Those that this processor can run, the fastest last."""
    library = _library()
    if library is None:
        return ()
    return tuple(
        NativeKernel(i, library.elmo_kernel_name(i).decode(), library.elmo_kernel_precision(i).decode())
        for i in range(library.elmo_n_kernels())
        if library.elmo_kernel_available(i)
    )


def kernel_for(precision: str) -> NativeKernel | None:
    """The fastest, as far as the environment allows; none where it is switched off, or was not built.

    Raises:
        NativeError: The environment names instructions that there are none of.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted == "0":
        return None
    allowed, names = kernels(), [kernel.name for kernel in kernels()]
    if wanted not in ("", "1"):
        if wanted not in names:
            known = ", ".join(dict.fromkeys(names)) or f"none, since {_found()[1]}"
            raise NativeError(f"{VARIABLE} is {wanted!r}, but must be 0 or one of what this processor has: {known}.")
        allowed = allowed[: len(names) - names[::-1].index(wanted)]
    return next((kernel for kernel in reversed(allowed) if kernel.precision == precision), None)


def explain(precision: str) -> str:
    """Which kernel runs, and why."""
    kernel, wanted = kernel_for(precision), os.environ.get(VARIABLE, "")
    if kernel is None and _library() is None:
        return f"PyTorch ({_found()[1]})"
    if kernel is None:
        return f"PyTorch ({VARIABLE}={wanted})"
    best = f"{VARIABLE}={wanted}" if wanted not in ("", "1") else "the best of what this processor has"
    return f"{kernel.name} ({best})"
