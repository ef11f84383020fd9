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
    ("paths", "train =", "Texts with their annotations, .spacy files: `python -m spacy convert` makes them."),
    ("paths", "vectors =", "Static word vectors: a pipeline, such as `python -m spacy init vectors` makes of a file."),
    ("paths", "kb =", "The knowledge base: a folder that its to_disk has written."),
    ("system", "gpu_allocator =", 'On a GPU "pytorch", and --gpu-id 0 for `train`.'),
    ("nlp", "batch_size =", "Docs at a time where pipelines run: fewer, if yours are long."),
    (
        "corpora.train",
        "augmenter =",
        'For texts with typing errors: {"@augmenters": "spacy-elmo.typos.v1", "level": 0.8, "rate": 0.2}',
    ),
    ("training", "dropout =", "Of all layers but the listeners, which have their own."),
    ("training", "patience =", "Stops after so many steps without a better score; max_steps is the most."),
    ("training", "accumulate_gradient =", "With 4, a batch is learned from in four parts: where memory is short."),
    ("training", "annotating_components =", "Those whose predictions later ones are to see in training."),
    (
        "training.before_update",
        "every =",
        "Steps until the next layer of the biLM is trained along, from the top down.",
    ),
    ("training.before_update", "rate =", "Of the biLM, as a share of the optimizer's learn_rate."),
    ("training.batcher.size", "start =", "Words of a batch, from start to stop, compound times as many each step."),
    ("training.optimizer", "learn_rate =", "The first to try other values of, with the listeners' dropout."),
    ("components.elmo", "frozen =", "With false the biLM is trained along: slower; see [training.before_update]."),
    ("components.elmo", "cache_bytes =", "Memory for what a frozen biLM says of the training texts, computed once."),
    ("components.elmo.model", "source =", "`python -m spacy elmo info` lists more; yours is a folder."),
    ("components.elmo.model", "precision =", '"bfloat16" is faster where the processor has it, at three digits.'),
    ("components.elmo.model.get_spans", "n =", "As many sentences are read; the textcat's get_spans says the same."),
    ("components.entity_linker", "factory =", "Needs components before it that set sentences and entities."),
    ("components.transformer.model", "name =", "Not trained: it is among frozen_components."),
    ("components.*", '@architectures = "spacy-elmo.ElmoListener*', "Mixes ELMo's layers as this component learns."),
    ("components.*", 'output = "mix"', '"top" and "average" learn no mix; "concat" gives all layers side by side.'),
    ("components.*.encode", "width =", "Wider and deeper for more data."),
    ("components.*.suggester", "sizes =", "Words of a span, as many as yours have."),
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
