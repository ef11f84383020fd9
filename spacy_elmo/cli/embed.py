"""`python -m spacy elmo embed`: a corpus of any size to vectors."""

import configparser
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from spacy.cli._util import import_code
from wasabi import msg

from .arguments import Dtype, WeightsOption, source_of
from .failing import failing

# Of the exit code where some documents failed, and all others have their vectors.
SOME_FAILED = 3


class Pooling(str, Enum):
    """What has one vector."""

    none = "none"
    sentence = "sentence"
    doc = "doc"


class Engine(str, Enum):
    """Who computes."""

    local = "local"
    ray = "ray"


def embed(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT... OUTPUT",
            help="What to read: files, directories, globs, addresses, or - for standard input. Last, what to write: "
            "a directory or its address, or a file that ends in .h5, .npz or .spacy",
            show_default=False,
        ),
    ],
    model: Annotated[str, typer.Option("--model", "-m", help="A model's name or path", show_default=False)],
    weights: WeightsOption = None,
    layers: Annotated[str, typer.Option("--layers", help="all, average, top, or the number of a layer")] = "average",
    pool: Annotated[
        Pooling,
        typer.Option("--pool", help="A vector for each token (none), or the mean over each sentence or document"),
    ] = Pooling.none,
    dtype: Annotated[Dtype, typer.Option("--dtype", help="How to store the vectors")] = Dtype.float32,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="What each line of text is: documents, sentences, or tokens, with blanks between them",
        ),
    ] = "documents",
    field: Annotated[str, typer.Option("--field", help="The key or column of texts in .jsonl and .parquet")] = "text",
    id_field: Annotated[str, typer.Option("--id-field", help="The key or column of ids there")] = "id",
    nlp: Annotated[
        str | None,
        typer.Option(
            "--nlp",
            help="The tokenizer: a language (en), or a .cfg file. By default as in the model's training",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", help="How the biLM computes: float32 or bfloat16")
    ] = "float32",
    engine: Annotated[Engine, typer.Option("--engine", help="This machine, or a Ray cluster")] = Engine.local,
    workers: Annotated[int, typer.Option("--workers", "-w", help="The number of processes")] = 1,
    device: Annotated[
        str | None,
        typer.Option("--device", help="cpu or cuda; by default a GPU, if there is one", show_default=False),
    ] = None,
    part_characters: Annotated[
        int | None,
        typer.Option("--part-characters", help="How much text goes into one part of the output", show_default=False),
    ] = None,
    code: Annotated[
        Path | None, typer.Option("--code", "-c", help="Python file to import first, for a tokenizer of your own")
    ] = None,
) -> None:
    """Write the vectors of a corpus of any size to files.

    OUTPUT is a directory of Parquet files with ids, texts, tokens, offsets and vectors. A name with the right ending
    gives one file instead: .h5 (HDF5 in AllenNLP's layout), .npz or .spacy.

    If the job is stopped or killed, the same command continues it, and the result has the same bytes.

    It reads text, .jsonl, .parquet, .conllu and .spacy files. All but .parquet may end in .gz, .zst, .bz2 or .xz.
    Documents that fail go to OUTPUT/_rejects.jsonl with the reason. Then the exit code is 3; if none failed, it is 0.

    \b
    Examples:
      python -m spacy elmo embed "texts/*.txt" OUT --model en_elmo_sm --layers top --dtype float16
      python -m spacy elmo embed reports.jsonl.gz OUT --model en_elmo_sm --field body --pool doc
      python -m spacy elmo embed sentences.txt OUT.h5 --model en_elmo_sm --format tokens --layers all
      python -m spacy elmo embed s3://texts/news s3://vectors/news --model en_elmo_sm --engine ray --workers 16
    """
    if len(paths) < 2:
        raise typer.BadParameter("give one INPUT or more, and the OUTPUT.")
    import_code(code)
    with failing():
        from ..embedding import Settings
        from ..embedding import embed as run

        settings = Settings(
            layers=layers,
            pool=cast(Any, pool.value),
            dtype=cast(Any, dtype.value),
            format=cast(Any, format),
            field=field,
            id_field=id_field,
            nlp=_config(nlp),
            precision=precision,
            **({} if part_characters is None else {"part_characters": part_characters}),
        )
        try:
            report = run(
                paths[:-1],
                paths[-1],
                source_of(model, weights),
                settings,
                engine=cast(Any, engine.value),
                workers=workers,
                device=device,
                code=code,
                show_progress=True,
            )
        except KeyboardInterrupt:
            msg.warn(f"Stopped. The same command goes on with {paths[-1]}")
            raise typer.Exit(130) from None
    msg.good(f"{paths[-1]} holds {report.documents:,} documents, {report.tokens:,} tokens")
    if report.rejects:
        msg.warn(f"{report.rejects:,} documents failed, see {report.rejects_file}")
        raise typer.Exit(SOME_FAILED)


def _config(nlp: str | None) -> dict[str, Any] | None:
    if nlp is None or not nlp.endswith(".cfg"):
        from ..corpus.tokenize import language_config

        return None if nlp is None else language_config(nlp)
    from thinc.api import Config

    from ..corpus.errors import CorpusError

    try:
        config = Config().from_disk(nlp, interpolate=False)
        return {"nlp": config["nlp"], "components": config.get("components", {})}
    except (OSError, ValueError, KeyError, configparser.Error) as error:
        raise CorpusError(f"{nlp}: no config with a section [nlp] ({error}).") from None
