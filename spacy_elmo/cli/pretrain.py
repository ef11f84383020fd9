"""`python -m spacy elmo pretrain`: a biLM from a config and texts."""

import os
from pathlib import Path
from typing import Annotated

import typer
from click import ClickException
from spacy.cli._util import import_code, parse_config_overrides
from wasabi import msg

from . import configs
from .failing import failing

# What follows the options known here are settings of the config, as for `spacy train`.
CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


def pretrain(
    context: typer.Context,
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="The config file, or the name of one that comes with the package",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The directory for tokenised texts, checkpoints and models", show_default=False
        ),
    ],
    init_from: Annotated[
        str | None, typer.Option("--init-from", help="Begin with this model: a name or a path", show_default=False)
    ] = None,
    code: Annotated[
        Path | None, typer.Option("--code", "-c", help="Python file to import first, for registered functions")
    ] = None,
) -> None:
    """Train a biLM from raw texts, or train one further.

    If the run is stopped or killed, the same command continues it. Any setting of the config can be given as an option,
    such as --training.batch_size 64.

    OUTPUT/model-best is the model with the lowest perplexity on held-out texts. OUTPUT/model-last is the last model.
    OUTPUT/log.jsonl is the log, and OUTPUT/corpus the tokenised texts.

    Each line of a text is a document. With --corpus.format sentences, it is a sentence. With --corpus.format tokens, it
    is a sentence with blanks between its words, as for other ELMo trainers. In .jsonl files, "text" is a document.
    .conllu and .spacy files have their own words and sentences. All may end in .gz, .zst, .bz2 or .xz.

    With --init-from, training begins with another model: to adapt it to your texts, without labels. If [model] is
    larger than that model, the model is widened, and keeps what it has learned.

    \b
    Examples:
      python -m spacy elmo pretrain configs/pretrain_sm.cfg -o OUT --paths.train texts/ --paths.heldout heldout.txt
      python -m spacy elmo pretrain configs/pretrain_sm.cfg -o OUT --paths.train "shards/*.jsonl.zst" --nlp.lang da
      python -m spacy elmo pretrain configs/pretrain_sm.cfg -o OUT --paths.train tokenised.txt --corpus.format tokens
      python -m spacy elmo pretrain configs/pretrain_finetune.cfg -o OUT --init-from en_elmo_sm --paths.train reports/
      python -m spacy elmo pretrain configs/pretrain_md.cfg -o OUT --init-from en_elmo_sm --paths.train texts/
      torchrun --nproc-per-node 4 -m spacy elmo pretrain configs/pretrain_sm.cfg -o OUT --paths.train texts/
    """
    try:
        overrides = parse_config_overrides(context.args)
    except ClickException as error:  # Typer has a Click of its own, and does not know those of the one that spaCy uses
        msg.fail(f"{error.format_message()} A setting has a dot in its name, such as --training.max_steps.")
        raise typer.Exit(2) from None
    import_code(code)
    with failing():
        from ..pretraining.run import pretrain as run

        model = run(configs.find(config), output, overrides, init_from, code)
    if os.environ.get("RANK", "0") == "0":
        msg.good(f"Wrote {model}")
