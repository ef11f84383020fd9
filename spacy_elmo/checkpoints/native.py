"""Our own format: config.json for the dimensions and model.safetensors for the parameters, under the module's names."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..bilm import BiLM, BiLMConfig
from .errors import CheckpointError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
FORMAT = "spacy-elmo"
FORMAT_VERSION = 1
DTYPES = {"float32": torch.float32, "float16": torch.float16}


def read(directory: Path) -> tuple[BiLMConfig, dict[str, Tensor]]:
    """The config and the float32 parameters of a native directory."""
    config = _read_config(directory / CONFIG_FILE)
    path = directory / WEIGHTS_FILE
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            check_shapes(config, shapes, str(path))
            return config, {name: _parameter(file.get_tensor(name)) for name in shapes}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; the model in {directory} is incomplete.") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error}). Copy or convert it again.") from None


def parse_parameters(config: BiLMConfig, data: bytes, where: str) -> dict[str, Tensor]:
    """The float32 parameters from the bytes of a safetensors file."""
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise CheckpointError(f"{where}: not whole safetensors data ({error}).") from None
    check_shapes(config, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, where)
    return {name: _parameter(tensor) for name, tensor in tensors.items()}


def _parameter(tensor: Tensor) -> Tensor:
    """In float32, and in memory that torch has laid out. A file's tensors stand at any address, and the order of the
    sums in a product depends on it: the last bits of a vector would depend on where its model came from.
    """
    return tensor.to(torch.float32, copy=True)


def parse_config(values: Any, where: str) -> BiLMConfig:
    """The config from the content of config.json."""
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise CheckpointError(f"{where}: not the config of a spacy-elmo model (its 'format' is not '{FORMAT}').")
    if values.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{where}: format version {values.get('format_version')!r}, but this spacy-elmo reads version "
            f"{FORMAT_VERSION}. Update spacy-elmo."
        )
    try:
        return BiLMConfig.from_dict(values["bilm"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: {error}") from None


def config_values(config: BiLMConfig) -> dict[str, Any]:
    """The content of config.json; `parse_config` reads it back."""
    return {"format": FORMAT, "format_version": FORMAT_VERSION, "bilm": config.to_dict()}


def check_shapes(config: BiLMConfig, found: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Raises CheckpointError listing every parameter that is missing, surplus, or of another shape than config says."""
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in BiLM(config).state_dict().items()}
    faults = [f"missing: {name} {wanted[name]}" for name in sorted(set(wanted) - set(found))]
    faults += [f"surplus: {name} {found[name]}" for name in sorted(set(found) - set(wanted))]
    faults += [
        f"{name} has the shape {found[name]}, but the config asks for {wanted[name]}"
        for name in sorted(set(wanted) & set(found))
        if wanted[name] != found[name]
    ]
    if faults:
        raise CheckpointError(f"{where} does not hold the parameters of its config: " + "; ".join(faults) + ".")


def write(bilm: BiLM, directory: Path, *, dtype: str, overwrite: bool) -> Path:
    """See `save_bilm`."""
    config_path, weights_path = directory / CONFIG_FILE, directory / WEIGHTS_FILE
    if not overwrite and (existing := [path for path in (config_path, weights_path) if path.exists()]):
        raise FileExistsError(f"{existing[0]} exists already; choose another directory, or pass overwrite=True.")
    weights = serialize_parameters(bilm, dtype)
    text = json.dumps(config_values(bilm.config), indent=2) + "\n"
    directory.mkdir(parents=True, exist_ok=True)
    _write_atomically(weights_path, weights)
    _write_atomically(config_path, text.encode("utf8"))
    return directory


def serialize_parameters(bilm: BiLM, dtype: str = "float32") -> bytes:
    """The bytes of a safetensors file."""
    if dtype not in DTYPES:
        raise ValueError(f"Cannot store a biLM as {dtype!r}: the choices are {', '.join(DTYPES)}.")
    tensors = {}
    for name, tensor in bilm.state_dict().items():
        tensors[name] = tensor.detach().to("cpu", DTYPES[dtype]).contiguous()
        if not torch.isfinite(tensors[name]).all():
            raise ValueError(f"Cannot store '{name}' as {dtype}: it holds values that are not finite in {dtype}.")
    return safetensors.torch.save(tensors)


def _read_config(path: Path) -> BiLMConfig:
    try:
        values = json.loads(path.read_text("utf8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; the model in {path.parent} is incomplete.") from None
    except OSError as error:
        raise CheckpointError(f"{path}: not readable ({error}).") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: not valid JSON ({error}).") from None
    return parse_config(values, str(path))


def _write_atomically(path: Path, data: bytes) -> None:
    """A reader sees the old file or the new one, never half of one, also if the process dies on the way."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
