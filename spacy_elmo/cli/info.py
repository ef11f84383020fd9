"""`python -m spacy elmo info`: what a model is made of, and which models there are."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from wasabi import msg

from .arguments import SOURCE_HELP, WeightsOption, source_of
from .failing import failing

if TYPE_CHECKING:
    from ..checkpoints import Source
    from ..checkpoints.published import Published

# Parts of a model: that of one without a lexicon, and of one with.
_WORD_ENCODERS = ("char_cnn", "lexicon_encoder")


def info(
    source: Annotated[str | None, typer.Argument(metavar="[SOURCE]", help=SOURCE_HELP, show_default=False)] = None,
    weights: WeightsOption = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="List all models that have a name; this is what happens without SOURCE")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs")] = False,
) -> None:
    """Show what a model is made of, or list all models by name.

    With SOURCE: the model's dimensions, parameters, files, languages and licence, and the kernel that computes here. If
    the model was trained with `pretrain`, also its vocabulary and its training. The model is loaded, so what is shown
    is complete and undamaged. Of a published model that you have not downloaded, it shows what the catalogue says.

    Without SOURCE: all models that have a name, in this package, downloaded or published.

    \b
    Examples:
      python -m spacy elmo info en_elmo_sm
      python -m spacy elmo info
      python -m spacy elmo info ./my_elmo --json
      python -m spacy elmo info ./elmo.zip
      python -m spacy elmo info ./my_pipeline
      python -m spacy elmo info ./options.json --weights /data/weights.hdf5
    """
    if show_all and source is not None:
        raise typer.BadParameter("Give either a SOURCE or --all.")
    with failing():
        if source is None:
            _list(as_json)
            return
        absent = _absent(source_of(source, weights))
        facts = asdict(absent) if absent else facts_of(source_of(source, weights))
        if as_json:
            print(json.dumps(facts, indent=2))
        elif absent:
            msg.divider(f"ELMo model {source}")
            msg.table(list(_catalogue_rows(facts)))
            msg.info(f"It is not on this machine. Fetch it with: python -m spacy elmo download {absent.name}")
        else:
            _show(source, facts)


def facts_of(source: "Source") -> dict[str, Any]:
    """The facts of a model, JSON-ready: of the biLM, of what lies beside it, and of the catalogue.

    Raises:
        CheckpointError: It cannot be loaded, or what lies beside it cannot be read.
    """
    from ..checkpoints import describe, locate
    from ..checkpoints.native import NATIVE
    from ..checkpoints.published import meant
    from ..language import metadata

    location = locate(source)
    facts = describe(location)
    facts["files"] |= {str(path): path.stat().st_size for path in metadata.present(location.directory)}
    said = metadata.stated(location)
    facts |= {"languages": [said["language"]]} if "language" in said else {}
    facts |= {"licence": said["licence"]} if "licence" in said else {}
    if (model := meant(source)) is not None:
        facts |= {key: getattr(model, key) for key in ("languages", "licence", "tokenisation", "caveats", "pages")}
    if (words := metadata.read_vocabulary(location.directory)) is not None:
        facts["vocabulary_size"] = len(words)
    if (training := metadata.read_facts(location.directory)) is not None:
        facts |= {"training": training, "family": NATIVE.family}
    return facts


def _absent(source: "Source") -> "Published | None":
    """The published model that a source means, if it is not on this machine."""
    from ..checkpoints.published import downloaded, meant

    model = meant(source)
    return model if model is not None and model.files and downloaded(model.name) is None else None


def _list(as_json: bool) -> None:
    from ..checkpoints.published import catalogue, downloaded

    models = [
        {**asdict(model), "here": not model.files or downloaded(model.name) is not None}
        for model in catalogue().values()
    ]
    if as_json:
        print(json.dumps(models, indent=2))
        return
    header = ("Name", "Languages", "Family", "Layers", "Wide", "Parameters", "Licence", "Here")
    msg.table([_summary(model) for model in models], header=header, divider=True)
    msg.info(
        "A model that is not here: python -m spacy elmo download NAME. More of one: python -m spacy elmo info NAME"
    )


def _summary(model: dict[str, Any]) -> tuple[str, ...]:
    return (
        model["name"],
        ", ".join(model["languages"]),
        _family(model["format"]),
        _number(model["layers"]),
        _number(model["width"]),
        _number(model["parameters"]),
        model["licence"] or "not known",
        "yes" if model["here"] else "",
    )


def _family(format: str) -> str:
    from ..checkpoints.formats import named

    found = named(format)
    assert found is not None  # the catalogue was checked
    return found.family


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _show(source: str, facts: dict[str, Any]) -> None:
    msg.divider(f"ELMo model {source}")
    msg.table([*_rows(facts), *_kernel_rows()])
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
    yield "Family", facts["family"]
    yield "Format", f"{facts['format']}, stored as {facts['dtype']}"
    yield "Vectors", f"{facts['layers']} layers, {facts['width']} wide"
    lexicon = config.get("lexicon")
    if lexicon is not None:
        yield "Lexicon", f"{facts['lexicon']['words']:,} words, {facts['lexicon']['characters']:,} characters"
    if lexicon is not None and lexicon["n_words"]:
        yield "Words", f"{lexicon['word_dim']} wide"
    if lexicon is None or lexicon["n_characters"]:
        yield from _character_rows(config)
    yield (
        "LSTM layers",
        f"{config['n_layers']} a direction, cells {config['cell_dim']}, outputs {config['projection_dim']}",
    )
    yield "Clips", f"cells {_or_none(config['cell_clip'])}, outputs {_or_none(config['projection_clip'])}"
    yield "Skip connections", "yes" if config["skip_connections"] else "no"
    yield "Parameters", f"{parameters['total']:,}"
    (word_encoder,) = set(parameters) & set(_WORD_ENCODERS)
    yield f"  {word_encoder.replace('_cnn', ' CNN').replace('_', ' ')}", f"{parameters[word_encoder]:,}"
    yield "  forward LSTMs", f"{parameters['forward_lstms']:,}"
    yield "  backward LSTMs", f"{parameters['backward_lstms']:,}"
    if "ignored" in facts:
        yield "Not read", ", ".join(facts["ignored"])
    if "vocabulary_size" in facts:
        yield "Vocabulary", f"{facts['vocabulary_size']:,} words"
    yield from _catalogue_rows({key: facts.get(key) for key in _CATALOGUED})
    for path, size in facts["files"].items():
        yield Path(path).name, f"{size:,} bytes"
    yield "SHA-256", f"{facts['sha256']} (parameters)"


def _kernel_rows() -> Iterator[tuple[str, str]]:
    """What computes on this machine."""
    from ..bilm.inference import PRECISIONS, explain

    for precision in PRECISIONS:
        yield f"Kernel, {precision}", explain(precision)


def _character_rows(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Characters", f"{config['max_characters']} a word, {config['char_dim']} wide"
    yield "Filters", ", ".join(f"{count} of width {width}" for width, count in config["filters"])
    yield "Activation", config["activation"]
    yield "Highway layers", str(config["n_highway"])


# What the catalogue tells of a model, and no file of it.
_CATALOGUED = ("languages", "licence", "tokenisation", "caveats", "pages")


def _catalogue_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "format" in facts:
        yield "Family", _family(facts["format"])
        yield "Vectors", f"{_number(facts['layers'])} layers, {_number(facts['width'])} wide"
        yield "Parameters", _number(facts["parameters"])
        for file in facts["files"]:
            yield "File", file["url"]
    yield "Languages", ", ".join(facts["languages"] or ()) or "not known"
    yield "Licence", facts["licence"] or "not known"
    for key in ("tokenisation", "caveats"):
        if facts[key]:
            yield key.capitalize(), facts[key]
    for page in facts["pages"] or ():
        yield "Facts from", page


def _or_none(clip: float | None) -> str:
    return "none" if clip is None else f"{clip:g}"
