"""`python -m spacy elmo info`: what a model is made of."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from wasabi import msg

from .failing import failing
from .source import SourceArgument, WeightsOption, source_of

if TYPE_CHECKING:
    from ..bilm import BiLM
    from ..checkpoints import Source


def info(
    source: SourceArgument,
    weights: WeightsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs")] = False,
) -> None:
    """Show what a model is made of. That is its dimensions, its parameters by part, its files and, where it was
    trained here, its vocabulary's size and the facts of its training. A model that is shown is whole.

    \b
    Examples:
      python -m spacy elmo info en_elmo_sm
      python -m spacy elmo info ./my_elmo --json
      python -m spacy elmo info ./small_options.json --weights ./small_weights.hdf5
    """
    with failing():
        facts = describe(source_of(source, weights))
        if as_json:
            print(json.dumps(facts, indent=2))
        else:
            _show(source, facts)


def describe(source: "Source") -> dict[str, Any]:
    """The facts of a model, JSON-ready.

    Raises CheckpointError where it cannot be loaded, or what lies beside it cannot be read.
    """
    from ..checkpoints import load_bilm, native
    from ..checkpoints.source import locate
    from ..pretraining import companions

    location = locate(source)
    bilm = load_bilm(source, device="cpu")
    if isinstance(location, tuple):
        directory, files, dtypes = location[0].parent, list(location), _hdf5_dtypes(location[1])
    else:
        directory, files = location, [location / native.CONFIG_FILE, location / native.WEIGHTS_FILE]
        dtypes = _safetensors_dtypes(location / native.WEIGHTS_FILE)
    facts = {
        "format": "allennlp" if isinstance(location, tuple) else "native",
        "dtype": ", ".join(sorted(dtypes)),
        "width": bilm.config.width,
        "layers": bilm.config.n_layers + 1,
        "config": bilm.config.to_dict(),
        "parameters": _parameters(bilm),
        "files": {str(path): path.stat().st_size for path in [*files, *companions.present(directory)]},
    }
    if (words := companions.read_vocabulary(directory)) is not None:
        facts["vocabulary_size"] = len(words)
    if (training := companions.read_facts(directory)) is not None:
        facts["training"] = training
    return facts


def _parameters(bilm: "BiLM") -> dict[str, int]:
    parts = {
        "char_cnn": bilm.char_cnn,
        "forward_lstms": bilm.forward_layers,
        "backward_lstms": bilm.backward_layers,
        "total": bilm,
    }
    return {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}


def _safetensors_dtypes(path: Path) -> set[str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {str(file.get_tensor(name).dtype).removeprefix("torch.") for name in file.keys()}  # noqa: SIM118


def _hdf5_dtypes(path: Path) -> set[str]:
    import h5py

    dtypes: set[str] = set()
    with h5py.File(path, "r") as file:
        file.visititems(lambda _, item: dtypes.add(str(item.dtype)) if hasattr(item, "dtype") else None)
    return dtypes


def _show(source: str, facts: dict[str, Any]) -> None:
    msg.divider(f"ELMo model {source}")
    msg.table(list(_rows(facts)))
    if "training" in facts:
        msg.divider("Training")
        msg.table(
            [
                (name, value if isinstance(value, str) else json.dumps(value))
                for name, value in facts["training"].items()
            ]
        )


def _rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    config, parameters = facts["config"], facts["parameters"]
    yield "Format", f"{facts['format']}, stored as {facts['dtype']}"
    yield "Vectors", f"{facts['layers']} layers, {facts['width']} wide"
    yield "Characters", f"{config['max_characters']} a word, {config['char_dim']} wide"
    yield "Filters", ", ".join(f"{count} of width {width}" for width, count in config["filters"])
    yield "Activation", config["activation"]
    yield "Highway layers", str(config["n_highway"])
    yield (
        "LSTM layers",
        f"{config['n_layers']} a direction, cells {config['cell_dim']}, outputs {config['projection_dim']}",
    )
    yield "Clips", f"cells {_or_none(config['cell_clip'])}, outputs {_or_none(config['projection_clip'])}"
    yield "Skip connections", "yes" if config["skip_connections"] else "no"
    yield "Parameters", f"{parameters['total']:,}"
    yield "  char CNN", f"{parameters['char_cnn']:,}"
    yield "  forward LSTMs", f"{parameters['forward_lstms']:,}"
    yield "  backward LSTMs", f"{parameters['backward_lstms']:,}"
    if "vocabulary_size" in facts:
        yield "Vocabulary", f"{facts['vocabulary_size']:,} words"
    for path, size in facts["files"].items():
        yield Path(path).name, f"{size:,} bytes"


def _or_none(clip: float | None) -> str:
    return "none" if clip is None else f"{clip:g}"
