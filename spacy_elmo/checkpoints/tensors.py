"""Parameters in the safetensors format, under the module's names."""

from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..bilm import BiLM, BiLMConfig
from ..bilm.lexicon import Lexicon
from .bounds import check_size
from .errors import CheckpointError
from .hdf5 import Shapes

DTYPES = {"float32": torch.float32, "float16": torch.float16}

# What safetensors raises where a file is damaged: a header may name a type that torch has not, or no text at all.
DAMAGES = (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError)


def read_parameters(config: BiLMConfig, path: Path, lexicon: Lexicon | None = None) -> dict[str, Tensor]:
    """Read the float32 parameters of a model of this config.

    Raises:
        CheckpointError: The file is missing or damaged, or holds another model's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            check_size(config, path.stat().st_size, str(path))
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            check_shapes(config, shapes, str(path), lexicon)
            return {name: parameter(name, file.get_tensor(name), str(path)) for name in shapes}
    except CheckpointError:
        raise
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; the model in {path.parent} is incomplete.") from None
    except DAMAGES as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error}). Copy or convert it again.") from None


def parse_parameters(config: BiLMConfig, data: bytes, where: str, lexicon: Lexicon | None = None) -> dict[str, Tensor]:
    """Read the float32 parameters from the bytes of a safetensors file; see `read_parameters`."""
    try:
        tensors = safetensors.torch.load(data)
    except DAMAGES as error:
        raise CheckpointError(f"{where}: not whole safetensors data ({error}).") from None
    check_size(config, len(data), where)
    check_shapes(config, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, where, lexicon)
    return {name: parameter(name, tensor, where) for name, tensor in tensors.items()}


def serialize_parameters(module: nn.Module, dtype: str = "float32") -> bytes:
    """The bytes of a safetensors file of a module's parameters.

    Raises:
        CheckpointError: `dtype` is neither "float32" nor "float16", or a value is not finite in it.
    """
    if dtype not in DTYPES:
        raise CheckpointError(f"Cannot store a biLM as {dtype!r}: the choices are {', '.join(DTYPES)}.")
    tensors = {}
    for name, tensor in module.state_dict().items():
        tensors[name] = tensor.detach().to("cpu", DTYPES[dtype]).contiguous()
        if not torch.isfinite(tensors[name]).all():
            raise CheckpointError(f"Cannot store '{name}' as {dtype}: it holds values that are not finite in {dtype}.")
    return safetensors.torch.save(tensors)


def check_shapes(config: BiLMConfig, found: Shapes, where: str, lexicon: Lexicon | None = None) -> None:
    """Raise CheckpointError listing every parameter that is missing, surplus, or of another shape than config says."""
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in BiLM(config, lexicon=lexicon).state_dict().items()}
    if faults := shape_faults(wanted, found):
        raise CheckpointError(f"{where} does not hold the parameters of its config: {faults}.")


def shape_faults(wanted: Shapes, found: Shapes) -> str:
    """What is missing, surplus, or of another shape than is wanted; "" for nothing."""
    faults = [f"missing: {name} {wanted[name]}" for name in sorted(set(wanted) - set(found))]
    faults += [f"surplus: {name} {found[name]}" for name in sorted(set(found) - set(wanted))]
    faults += [
        f"{name} has the shape {found[name]}, but {wanted[name]} is asked for"
        for name in sorted(set(wanted) & set(found))
        if wanted[name] != found[name]
    ]
    return "; ".join(faults)


def stored_dtypes(path: Path) -> set[str]:
    """In which types a file's parameters are stored, by NumPy's names."""
    with safe_open(path, framework="pt") as file:
        return {str(file.get_tensor(name).dtype).removeprefix("torch.") for name in file.keys()}  # noqa: SIM118


def parameter(name: str, tensor: Tensor, where: str) -> Tensor:
    """A file's tensor in float32, and in memory that torch has laid out.

    A file's tensors stand at any address, and the order of the sums in a product depends on it: the last bits of a
    vector would depend on where its model came from.

    Raises:
        CheckpointError: It holds no floating point numbers.
    """
    if not tensor.is_floating_point():
        raise CheckpointError(f"{where}: the parameter {name} holds {tensor.dtype} and not floating point numbers.")
    return tensor.to(torch.float32, copy=True)
