"""What a model is made of."""

from typing import Any

from ..bilm import BiLM
from ..disk import digest
from .format import Location, family


def describe(location: Location) -> dict[str, Any]:
    """The facts of a model, JSON-ready. A model that has been described is whole.

    Raises:
        CheckpointError: It cannot be loaded.
    """
    bilm = location.read().bilm("float32")
    facts: dict[str, Any] = {
        "format": location.format.name,
        "family": family(bilm.lexicon),
        "dtype": ", ".join(sorted(location.format.dtypes(location))),
        "width": bilm.config.width,
        "layers": bilm.config.n_layers + 1,
        "config": bilm.config.to_dict(),
        "parameters": _parameters(bilm),
        "sha256": digest(*location.weights),
        "files": {str(path): path.stat().st_size for path in location.format.files(location)},
    }
    if ignored := location.format.ignored(location):
        facts["ignored"] = list(ignored)
    if bilm.lexicon is not None:
        facts["lexicon"] = {name: len(entries or ()) for name, entries in vars(bilm.lexicon).items()}
    return facts


def _parameters(bilm: BiLM) -> dict[str, int]:
    parts = {
        "char_cnn" if bilm.lexicon is None else "lexicon_encoder": bilm.word_encoder,
        "forward_lstms": bilm.forward_layers,
        "backward_lstms": bilm.backward_layers,
        "total": bilm,
    }
    return {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}
