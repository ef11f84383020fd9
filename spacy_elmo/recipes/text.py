"""A training config as text, with what it is, how to train with it, and what to change."""

import shlex
from collections.abc import Iterator
from fnmatch import fnmatchcase
from textwrap import wrap

from .choices import COMPONENTS
from .recipe import Recipe

WIDTH = 120
_POOLED = {"mean": "the mean", "max": "the maximum", "attention": "attention"}
# A section and how a line in it begins, both patterns, and what stands above the first such line.
COMMENTS = (
    ("paths", "train =", "Annotated texts, as .spacy files: `python -m spacy convert` makes them."),
    (
        "paths",
        "vectors =",
        "Static word vectors: a pipeline that has them, such as `python -m spacy init vectors` makes.",
    ),
    ("paths", "kb =", "The knowledge base: a folder that its method to_disk wrote."),
    ("system", "gpu_allocator =", 'To train on a GPU, set "pytorch" here, and give --gpu-id 0 to `train`.'),
    ("nlp", "batch_size =", "How many Docs are processed at a time. Lower it if your texts are long."),
    (
        "corpora.train",
        "augmenter =",
        'For texts with typing errors: {"@augmenters": "spacy-elmo.typos.v1", "level": 0.8, "rate": 0.2}',
    ),
    ("training", "dropout =", "For all layers except the listeners, which have their own dropout."),
    ("training", "patience =", "Training stops after this many steps without a better score, or after max_steps."),
    ("training", "accumulate_gradient =", "If memory is short, set 4: each batch is then computed in four parts."),
    ("training", "annotating_components =", "Components whose predictions later components need in training."),
    (
        "training.before_update",
        "every =",
        "After this many steps the next layer of the biLM joins the training, from the top down.",
    ),
    ("training.before_update", "rate =", "The biLM's learning rate, as a share of the optimizer's learn_rate."),
    (
        "training.batcher.size",
        "start =",
        "The number of words in a batch grows from start to stop. Lower stop if memory is short.",
    ),
    ("training.optimizer", "learn_rate =", "The first setting to tune, with the listeners' dropout."),
    (
        "components.elmo",
        "frozen =",
        "false trains the biLM as well, which is slower; `init-config --finetune` writes such a config.",
    ),
    (
        "components.elmo",
        "cache_bytes =",
        "Bytes of memory for the layers of training texts, so that a frozen biLM computes them once.",
    ),
    (
        "components.elmo.model",
        "source =",
        "A model's name (`python -m spacy elmo info` lists them), or the path of your own.",
    ),
    (
        "components.elmo.model",
        "precision =",
        '"bfloat16" is faster on processors that have it, and less than one percent off.',
    ),
    (
        "components.elmo.model.get_spans",
        "n =",
        "How many sentences are read. Give the textcat's get_spans the same number.",
    ),
    ("components.entity_linker", "factory =", "Needs components before it that set sentences and entities."),
    ("components.transformer.model", "name =", "It is not trained, because it is among frozen_components."),
    (
        "components.*",
        '@architectures = "spacy-elmo.ElmoListener*',
        "Reads ELMo's layers, and learns this component's own mix of them.",
    ),
    (
        "components.*",
        'output = "mix"',
        '"mix" is learned. "top" and "average" are not; "concat" gives all layers side by side.',
    ),
    ("components.*.encode", "width =", "Try wider and deeper if you have more data."),
    ("components.*.suggester", "sizes =", "The numbers of words that your spans have."),
)


def as_text(recipe: Recipe, output: str) -> str:
    """The text of a config file, which begins with a comment.

    Args:
        recipe: What it is of.
        output: Its path, for the commands in the comment.

    Raises:
        RecipeError: see `Recipe.config`.
        CheckpointError: see there.
    """
    return "\n".join([*_heading(recipe, output), "", *_commented(recipe.config().to_str()), ""])


def command(recipe: Recipe, output: str) -> str:
    """The command that makes a config: options that have another value than the default."""
    default = Recipe()
    words = ["python", "-m", "spacy", "elmo", "init-config", output]
    for option, value, usual in (
        ("--lang", recipe.lang, default.lang),
        ("--pipeline", ",".join(recipe.pipeline), ",".join(default.pipeline)),
        ("--optimize", recipe.optimize, default.optimize),
        ("--source", recipe.source, default.source),
        ("--vectors", recipe.vectors, default.vectors),
        ("--transformer", recipe.transformer, default.transformer),
        ("--encoder", recipe.encoder, default.encoder),
        ("--pool", recipe.pool, default.pool),
        ("--sentences", recipe.sentences, default.sentences),
    ):
        words += [option, value] if value is not None and value != usual else []
    switches = {"--at-output": recipe.at_output, "--finetune": not recipe.frozen, "--gpu": recipe.gpu}
    words += [switch for switch, is_on in {**switches, "--baseline": recipe.baseline}.items() if is_on]
    return shlex.join(words)


def title(recipe: Recipe) -> str:
    """One sentence on what a config is of."""
    found = _listed([COMPONENTS[name] for name in recipe.readers])
    found += f" ({recipe.lang})" if recipe.lang != Recipe().lang else ""
    if recipe.baseline:
        return f"{found[0].upper()}{found[1:]} on spaCy's default tok2vec: the baseline that ELMo is compared with."
    beside = ["hashed features"] if any(recipe.reading(name).hashed for name in recipe.readers) else []
    beside += ["static word vectors"] if recipe.vectors is not None else []
    beside += ["a transformer"] if recipe.transformer is not None else []
    words = f"{found} on {'frozen' if recipe.frozen else 'fine-tuned'} ELMo vectors"
    words += f" beside {_listed(beside)}" if beside else ""
    words += " as they are" if not any(recipe.reading(name).encoded or beside for name in recipe.readers) else ""
    words += ", through a BiLSTM" if recipe.encoder == "bilstm" else ""
    words += ", and on them again at the encoder's output" if recipe.at_output else ""
    words += f", for long texts: {_POOLED[recipe.pool]} over sentences" if recipe.pool is not None else ""
    words += f", of which {' '.join(recipe.sentences.split(':'))} are read" if recipe.sentences is not None else ""
    return f"{words[0].upper()}{words[1:]}."


def train_command(recipe: Recipe, output: str) -> str:
    """How to train with a config."""
    words = ["python -m spacy train", shlex.quote(output), "--paths.train TRAIN.spacy --paths.dev DEV.spacy"]
    words += ["--paths.kb KB"] if "entity_linker" in recipe.pipeline else []
    words += ["--gpu-id 0"] if recipe.gpu else []
    return " ".join([*words, "--output OUT"])


def _heading(recipe: Recipe, output: str) -> Iterator[str]:
    yield from (f"# {line}" for line in wrap(title(recipe), WIDTH - 2))
    yield "#"
    yield f"#   {train_command(recipe, output)}"
    yield "#"
    yield f"# Made by: {command(recipe, output)}"


def _commented(config: str) -> Iterator[str]:
    """The lines of a config, and a comment above the first that it is about."""
    left = list(COMMENTS)
    section = ""
    for line in config.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        for comment in left:
            if fnmatchcase(section, comment[0]) and fnmatchcase(line, f"{comment[1]}*"):
                left.remove(comment)
                yield f"# {comment[2]}"
                break
        yield line


def _listed(words: list[str]) -> str:
    """One, two and three."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
