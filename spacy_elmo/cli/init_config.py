"""`python -m spacy elmo init-config`: a training config of spaCy's components on ELMo vectors."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from .failing import failing


class Optimize(str, Enum):
    """What a config should be good at, as spaCy calls it."""

    efficiency = "efficiency"
    accuracy = "accuracy"


class Encoder(str, Enum):
    """What stands between ELMo vectors and a component."""

    window = "window"
    bilstm = "bilstm"


class Pool(str, Enum):
    """What makes one vector of those of a text's sentences."""

    mean = "mean"
    max = "max"
    attention = "attention"


def init_config(
    output_file: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The config file to write, or - for standard output", show_default=False),
    ],
    lang: Annotated[str, typer.Option("--lang", "-l", help="Two-letter code of the language")] = "en",
    pipeline: Annotated[
        str,
        typer.Option("--pipeline", "-p", help="The components to train, separated by commas, without 'elmo'"),
    ] = "tagger,parser,ner",
    optimize: Annotated[
        Optimize,
        typer.Option(
            "--optimize", "-o", help="ELMo only (efficiency), or hashed features of the word forms, too (accuracy)"
        ),
    ] = Optimize.efficiency,
    source: Annotated[
        str | None,
        typer.Option("--source", help="The biLM: a name or path; by default the language's model in this package"),
    ] = None,
    vectors: Annotated[
        str | None,
        typer.Option("--vectors", help="Static word vectors beside ELMo: a pipeline or package that has them"),
    ] = None,
    transformer: Annotated[
        str | None,
        typer.Option("--transformer", help="A frozen transformer beside ELMo: a name or path"),
    ] = None,
    encoder: Annotated[
        Encoder, typer.Option("--encoder", help="The small encoder with which each component learns the task")
    ] = Encoder.window,
    at_output: Annotated[
        bool, typer.Option("--at-output", help="ELMo vectors also at the encoder's output (section 3.2 of the paper)")
    ] = False,
    pool: Annotated[
        Pool | None,
        typer.Option("--pool", help="For long texts: classify by the vectors of sentences, pooled in this way"),
    ] = None,
    sentences: Annotated[
        str | None,
        typer.Option(
            "--sentences", help="For long texts: read only some sentences, first:30 or sampled:30; needs --pool"
        ),
    ] = None,
    frozen: Annotated[
        bool,
        typer.Option("--frozen/--finetune", help="Keep the biLM as it is, or train it together with the components"),
    ] = True,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="spaCy's default instead of ELMo, to compare with")
    ] = False,
    gpu: Annotated[bool, typer.Option("--gpu", "-G", help="Write a config for training on a GPU")] = False,
    force_overwrite: Annotated[
        bool, typer.Option("--force", "-F", help="Replace a file that is there already")
    ] = False,
) -> None:
    """Write a config that trains spaCy components on ELMo vectors.

    It works like `spacy init config`, and has its options, except --pretraining: here the biLM is pretrained, by
    `python -m spacy elmo pretrain`. The config is complete, with comments on what to change.

    Components that read ELMo: tagger, morphologizer, trainable_lemmatizer, parser, senter, ner, spancat,
    spancat_singlelabel, span_finder, textcat, textcat_multilabel, entity_linker. Others, such as sentencizer, get their
    own default settings.

    \b
    Examples:
      python -m spacy elmo init-config ner.cfg --lang en --pipeline ner
      python -m spacy elmo init-config config.cfg --lang ja --pipeline ner,textcat --optimize accuracy
      python -m spacy elmo init-config config.cfg --pipeline textcat --vectors en_core_web_md
      python -m spacy elmo init-config config.cfg --pipeline textcat --pool attention --sentences sampled:30
      python -m spacy elmo init-config config.cfg --lang da --pipeline tagger,parser --source manylangs-da
    """
    is_stdout = str(output_file) == "-"
    if not is_stdout and output_file.exists() and not force_overwrite:
        msg.fail(f"{output_file} is there already. To replace it, add --force.", exits=1)
    with failing():
        from spacy.cli._util import string_to_list
        from spacy.util import is_package

        from .. import recipes
        from ..checkpoints import CheckpointError, locate
        from ..disk import write_whole

        recipe = recipes.Recipe(
            lang=lang,
            pipeline=tuple(string_to_list(pipeline)),
            optimize=optimize.value,
            source=source,
            vectors=vectors,
            transformer=transformer,
            encoder=encoder.value,
            at_output=at_output,
            pool=pool.value if pool else None,
            sentences=sentences,
            frozen=frozen,
            baseline=baseline,
            gpu=gpu,
        )
        text = recipes.as_text(recipe, str(output_file))
        if is_stdout:
            print(text, end="")
            return
        write_whole(output_file, text.encode())
    msg.good(f"Saved config {output_file}")
    if source is not None:
        try:
            locate(source)
        except CheckpointError as error:  # it may be trained or downloaded yet
            msg.warn(f"Not on this machine yet: {error}")
    if vectors is not None and not is_package(vectors) and not Path(vectors).exists():
        msg.warn(f"Not on this machine yet: {vectors!r} is neither an installed pipeline nor a folder with one.")
    if transformer is not None and not Path(transformer).exists():
        msg.info(f"{transformer!r} is no folder here: it has to be a name on Hugging Face's hub, which training asks.")
    msg.text("Add your data, and train:")
    print(recipes.train_command(recipe, str(output_file)))
