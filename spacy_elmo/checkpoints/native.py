"""Our own format: config.json for the dimensions, model.safetensors for the parameters, under the module's names, and
lexicon.json for the words and characters of a model that has numbers for them.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..bilm import BiLM, BiLMConfig
from ..bilm.lexicon import Lexicon
from .bounds import check_counts, check_size, read_json, read_lexicon
from .contents import Contents
from .errors import CheckpointError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
LEXICON_FILE = "lexicon.json"
FORMAT = "spacy-elmo"
FORMAT_VERSION = 1
DTYPES = {"float32": torch.float32, "float16": torch.float16}


def read(directory: Path) -> Contents:
    """What a native directory holds."""
    config = _read_config(directory / CONFIG_FILE)
    lexicon = _read_lexicon(config, directory / LEXICON_FILE)
    path = directory / WEIGHTS_FILE
    try:
        with safe_open(path, framework="pt") as file:
            check_size(config, path.stat().st_size, str(path))
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            check_shapes(config, shapes, str(path), lexicon)
            return Contents(config, {name: _parameter(file.get_tensor(name)) for name in shapes}, lexicon)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; the model in {directory} is incomplete.") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error}). Copy or convert it again.") from None


def parse_parameters(config: BiLMConfig, data: bytes, where: str, lexicon: Lexicon | None = None) -> dict[str, Tensor]:
    """The float32 parameters from the bytes of a safetensors file."""
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise CheckpointError(f"{where}: not whole safetensors data ({error}).") from None
    check_size(config, len(data), where)
    check_shapes(config, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, where, lexicon)
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
        config = BiLMConfig.from_dict(values["bilm"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: {error}") from None
    check_counts(config, where)
    return config


def config_values(config: BiLMConfig) -> dict[str, Any]:
    """The content of config.json; `parse_config` reads it back."""
    return {"format": FORMAT, "format_version": FORMAT_VERSION, "bilm": config.to_dict()}


def parse_lexicon(config: BiLMConfig, data: bytes, where: str) -> Lexicon:
    """The lexicon from the bytes of lexicon.json; `serialize_lexicon` makes them."""
    try:
        values = json.loads(data)
        if not isinstance(values, dict) or set(values) != {"words", "characters"}:
            raise ValueError("it is not an object with the keys words and characters")
        for entries in values.values():
            if entries is not None and not _are_entries(entries):
                raise ValueError("its words and characters are not null, nor objects with numbers as values")
        lexicon = Lexicon(**values)
        if config.lexicon is not None:
            lexicon.check(config.lexicon)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where}: not the lexicon of this model ({error}).") from None
    return lexicon


def _are_entries(entries: Any) -> bool:
    return isinstance(entries, dict) and all(type(number) is int for number in entries.values())


def serialize_lexicon(lexicon: Lexicon) -> bytes:
    """The bytes of lexicon.json."""
    values = {"words": lexicon.words, "characters": lexicon.characters}
    # In JSON's own words a surrogate that stands alone may be part of a string, though in UTF-8's it may not.
    return json.dumps(values, ensure_ascii=False, indent=0).encode("utf8", "surrogatepass")


def check_shapes(
    config: BiLMConfig, found: Mapping[str, tuple[int, ...]], where: str, lexicon: Lexicon | None = None
) -> None:
    """Raises CheckpointError listing every parameter that is missing, surplus, or of another shape than config says."""
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in BiLM(config, lexicon=lexicon).state_dict().items()}
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
    paths = [directory / name for name in (CONFIG_FILE, WEIGHTS_FILE, LEXICON_FILE)]
    if not overwrite and (existing := [path for path in paths if path.exists()]):
        raise FileExistsError(f"{existing[0]} exists already; choose another directory, or pass overwrite=True.")
    config_path, weights_path, lexicon_path = paths
    weights = serialize_parameters(bilm, dtype)
    text = json.dumps(config_values(bilm.config), indent=2) + "\n"
    directory.mkdir(parents=True, exist_ok=True)
    _write_atomically(weights_path, weights)
    if bilm.lexicon is not None:
        _write_atomically(lexicon_path, serialize_lexicon(bilm.lexicon))
    _write_atomically(config_path, text.encode("utf8"))
    if bilm.lexicon is None:
        lexicon_path.unlink(missing_ok=True)  # of the model that was here
    return directory


def serialize_parameters(module: nn.Module, dtype: str = "float32") -> bytes:
    """The bytes of a safetensors file."""
    if dtype not in DTYPES:
        raise ValueError(f"Cannot store a biLM as {dtype!r}: the choices are {', '.join(DTYPES)}.")
    tensors = {}
    for name, tensor in module.state_dict().items():
        tensors[name] = tensor.detach().to("cpu", DTYPES[dtype]).contiguous()
        if not torch.isfinite(tensors[name]).all():
            raise ValueError(f"Cannot store '{name}' as {dtype}: it holds values that are not finite in {dtype}.")
    return safetensors.torch.save(tensors)


def _read_config(path: Path) -> BiLMConfig:
    try:
        values = read_json(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; the model in {path.parent} is incomplete.") from None
    except OSError as error:
        raise CheckpointError(f"{path}: not readable ({error}).") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: not valid JSON ({error}).") from None
    return parse_config(values, str(path))


def _read_lexicon(config: BiLMConfig, path: Path) -> Lexicon | None:
    if config.lexicon is None:
        return None
    try:
        data = read_lexicon(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; the model in {path.parent} is incomplete.") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable ({error}).") from None
    return parse_lexicon(config, data, str(path))


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
