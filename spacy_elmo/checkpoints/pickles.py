"""Parameters in the files that torch itself writes.

They are pickles: nothing but arrays is read of them, and no code is run, whatever a file says.
"""

import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from .errors import CheckpointError, listed

# What torch's reader raises where a file is damaged, beside OSError and UnpicklingError.
_DAMAGES = (
    RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError,
    zipfile.BadZipFile, NotImplementedError, AssertionError, struct.error, SystemError,
)  # fmt: skip

Parameters = Mapping[str, Tensor]


def read_parameters(path: Path) -> Parameters:
    """Read a file that holds parameters and nothing else, onto the CPU. No code in it is run.

    Raises:
        CheckpointError: The file is missing or damaged, or holds anything else, or values that are not finite.
    """
    return as_parameters(read_dictionary(path), path)


def read_dictionary(path: Path) -> dict[Any, Any]:
    """Read a file that holds a dictionary, whatever is in that. No code is run.

    Raises:
        CheckpointError: The file is missing or damaged, or holds anything else.
    """
    try:
        if zipfile.is_zipfile(path):
            _check_stored(path)
        values = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; the model in {path.parent} is incomplete.") from None
    except OSError as error:
        raise CheckpointError(f"{path}: not readable ({error}).") from None
    except UnpicklingError as error:
        # Torch's text advises to run what the file holds all the same; what that is, is all that is taken of it.
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise CheckpointError(
            f"{path} was not read: it is damaged, or holds something else than arrays, which may be a program"
            f"{f' (it asks for {found[1]})' if found else ''}. Fetch it again, and from where you trust."
        ) from None
    except _DAMAGES as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CheckpointError(f"{path}: not a whole file of torch's ({reason}). Fetch it again.") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: {_OTHER}")
    return values


def as_parameters(values: Mapping[Any, Any], path: Path) -> Parameters:
    """Values that were read of a file, as parameters. Raises CheckpointError where they are not."""
    if not all(_is_parameter(*item) for item in values.items()):
        raise CheckpointError(f"{path}: {_OTHER}")
    if broken := [name for name, tensor in values.items() if not torch.isfinite(tensor).all()]:
        raise CheckpointError(
            f"{path}: {listed(broken)} {'hold' if len(broken) > 1 else 'holds'} values that are not finite numbers. "
            f"The file is damaged, or its training has failed. Fetch it again."
        )
    return values


_OTHER = "not the parameters of a model, which are floating point arrays with names."


def _check_stored(path: Path) -> None:
    """An array takes as many bytes in memory as in the file, where nothing is compressed; torch never does."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{info.filename} is compressed")


def _is_parameter(name: Any, value: Any) -> bool:
    return (
        isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.dtype.is_floating_point
        and value.device.type == "cpu"
    )
