"""A training config from a few choices, complete as `spacy init config` makes it."""

from dataclasses import dataclass, replace
from typing import Any

from spacy import blank
from spacy.language import Language
from spacy.util import load_model_from_config
from thinc.api import Config

from ..checkpoints import embedded_for
from . import choices
from .choices import COMPONENTS, Settings
from .errors import RecipeError
from .tok2vec import tok2vec

TRANSFORMER: Settings = {
    "factory": "transformer",
    "model": {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "tokenizer_config": {"use_fast": True},
        "get_spans": {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 128, "stride": 96},
    },
}
LOAD_TRANSFORMER: Settings = {"@callbacks": "spacy-elmo.load_transformer.v1"}
TEXT_CATEGORIES = {"textcat", "textcat_multilabel"}
# What a config has without being in the pipeline that was asked for, and how it comes there.
UPSTREAMS = {
    "elmo": "the config has it by itself",
    "tok2vec": "--baseline puts it in",
    "transformer": "--transformer NAME puts it in",
}
# What a baseline has none of, and the option that asks for it.
OF_ELMO = {
    "optimize": "--optimize",
    "source": "--source",
    "transformer": "--transformer",
    "encoder": "--encoder",
    "at_output": "--at-output",
    "frozen": "--finetune",
}


@dataclass(frozen=True)
class Recipe:
    """What a training config is to be of. Its attributes are the options of `python -m spacy elmo init-config`.

    Attributes:
        lang: The language, a code of spaCy's.
        pipeline: The components that read ELMo, in their order; any other factory is taken with its own settings.
        optimize: "efficiency" or "accuracy", see `choices.READINGS`.
        source: The biLM, see `load_bilm`; by default the one that comes with the package for the language.
        vectors: A pipeline or package with static vectors, which then stand beside ELMo.
        transformer: A transformer's name or path, which then stands beside ELMo and is not trained.
        encoder: A name in `choices.ENCODERS`.
        at_output: Whether ELMo vectors also stand beside the encoder's output.
        pool: A name in `choices.POOLS`: text categories are found by the vectors of sentences, for long texts.
        sentences: How many of a text's sentences are read at all, "first:30" or "sampled:30".
        frozen: Whether the biLM only gives features.
        baseline: Whether spaCy's default tok2vec takes the place of ELMo: what to compare with.
        gpu: Whether it is to be trained on a GPU.
    """

    lang: str = "en"
    pipeline: tuple[str, ...] = ("tagger", "parser", "ner")
    optimize: str = "efficiency"
    source: str | None = None
    vectors: str | None = None
    transformer: str | None = None
    encoder: str = "window"
    at_output: bool = False
    pool: str | None = None
    sentences: str | None = None
    frozen: bool = True
    baseline: bool = False
    gpu: bool = False

    @property
    def readers(self) -> list[str]:
        """The components that read ELMo vectors, or a baseline's."""
        return [name for name in self.pipeline if name in COMPONENTS]

    def reading(self, name: str) -> choices.Reading:
        """How a component reads."""
        readings = choices.READINGS[self.optimize]
        return replace(readings.get(name, readings["*"]), layer_norm=self._pool(name) is not None)

    def config(self) -> Config:
        """The config, with every setting that there is.

        Raises:
            RecipeError: There is no such language or component, or none that reads ELMo; or choices contradict.
            CheckpointError: No biLM was named, and none of this language comes with the package.
        """
        if not self.readers:
            raise RecipeError(f"No component in the pipeline reads ELMo. Give one or more of {', '.join(COMPONENTS)}.")
        for name in self.pipeline:
            if name in UPSTREAMS:
                raise RecipeError(f"Leave {name!r} out of the pipeline: {UPSTREAMS[name]}.")
            if self.pipeline.count(name) > 1:
                raise RecipeError(f"{name!r} stands twice in the pipeline. Name each component once.")
        for option in ("source", "vectors", "transformer"):
            if getattr(self, option) == "":
                raise RecipeError(f"--{option} is empty. Name something, or leave it out.")
        if self.baseline and (options := [name for name in OF_ELMO if getattr(self, name) != getattr(Recipe, name)]):
            raise RecipeError(
                f"A baseline has no ELMo, and so no {', '.join(OF_ELMO[name] for name in options)}. Leave that out."
            )
        try:
            nlp = blank(self.lang)
        except ImportError as error:  # no such language, or its tokenizer takes a package
            raise RecipeError(f"spaCy has no language {self.lang!r} here: {error}") from None
        for name in self.pipeline:
            if not nlp.has_factory(name):
                raise RecipeError(f"spaCy has no component {name!r}. Those that read ELMo: {', '.join(COMPONENTS)}.")
        if (self.pool or self.sentences) and not set(self.pipeline) & TEXT_CATEGORIES:
            raise RecipeError(
                "Only text categories are found by the vectors of sentences: textcat, textcat_multilabel."
            )
        if self.sentences and (self.pool is None or not set(self.readers) <= TEXT_CATEGORIES):
            raise RecipeError(
                "The sentences that --sentences leaves out have no vectors, for no component: give --pool, too, which "
                "passes over them, and in --pipeline no components that read ELMo but textcat and textcat_multilabel."
            )
        if self.transformer is not None and not nlp.has_factory("transformer"):
            raise RecipeError("A transformer takes spacy-transformers: pip install 'spacy-elmo[transformers]'.")
        # Of the codes that spaCy understands, such as "eng", models know one.
        recipe = replace(self, lang=str(nlp.lang))
        return load_model_from_config(Config(recipe._base()), auto_fill=True).config

    def _pool(self, name: str) -> str | None:
        """How a component pools the vectors of sentences; None where it reads tokens."""
        return self.pool if name in TEXT_CATEGORIES else None

    def _base(self) -> Settings:
        """What differs from spaCy's defaults."""
        components = self._components()
        frozen = [name for name in components if name == "transformer"]
        # What readers find in prediction, such as sentences, they are to find in training.
        before = list(components)[: list(components).index(self.readers[0])]
        annotating = [name for name in before if name not in ("elmo", "tok2vec")]
        return {
            "paths": {"train": None, "dev": None, "vectors": self.vectors, **self._paths()},
            "system": {"gpu_allocator": "pytorch" if self.gpu else None, "seed": 0},
            "nlp": {"lang": self.lang, "pipeline": list(components), "batch_size": choices.BATCH_SIZE},
            "components": components,
            "corpora": {part: _corpus(part) for part in ("train", "dev")},
            "training": {
                **choices.TRAINING,
                "frozen_components": frozen,
                "annotating_components": annotating,
                "batcher": choices.BATCHER,
                "optimizer": self._optimizer(),
                "before_update": None if self.frozen or self.baseline else choices.UNFREEZING,
            },
            "initialize": {
                "vectors": "${paths.vectors}",
                **({"before_init": LOAD_TRANSFORMER} if frozen else {}),
                "components": self._initialized(),
            },
        }

    def _components(self) -> dict[str, Settings]:
        found: dict[str, Settings] = {}
        before = self.pipeline[: self.pipeline.index(self.readers[0])]
        needs_sentences = (self.pool or self.sentences) and not any(map(_sets_sentences, before))
        for name in (*(["sentencizer"] if needs_sentences else []), *self.pipeline):
            if name in COMPONENTS and not set(found) & {"elmo", "tok2vec"}:
                found |= self._upstreams()
            found[name] = self._reader(name) if name in COMPONENTS else {"factory": name}
        return found

    def _upstreams(self) -> dict[str, Settings]:
        """What computes vectors for the components that come."""
        if self.baseline:
            embed = {**choices.BASELINE["embed"], "include_static_vectors": self.vectors is not None}
            return {"tok2vec": {"factory": "tok2vec", "model": {**choices.BASELINE, "embed": embed}}}
        source = self.source or embedded_for(self.lang)
        model = {"@architectures": "spacy-elmo.ElmoModel.v1", "source": source, "get_spans": self._span_getter()}
        found: dict[str, Settings] = {"elmo": {"factory": "elmo", "frozen": self.frozen, "model": model}}
        if self.transformer is not None:
            found["transformer"] = merged(TRANSFORMER, {"model": {"name": self.transformer}})
        return found

    def _reader(self, name: str) -> Settings:
        """A component as its factory makes it, with another tok2vec."""
        default: Any = Language.get_factory_meta(name).default_config
        settings = merged({"factory": name, **default}, choices.HEADS.get(name, {}))
        read = self._tok2vec(name)
        pool = self._pool(name)
        if pool is None:
            return {**settings, "model": {**settings["model"], "tok2vec": read}}
        means = {"@architectures": "spacy-elmo.SpanMeans.v1", "tok2vec": read, "get_spans": self._span_getter()}
        exclusive = {"exclusive_classes": name == "textcat"}
        return {**settings, "model": {**choices.POOLS[pool], **exclusive, "tok2vec": means}}

    def _span_getter(self) -> Settings | None:
        """What says which sentences are read; None for all."""
        if self.sentences is None:
            return None
        which, _, number = self.sentences.partition(":")
        if which not in ("first", "sampled") or not number.isdecimal() or not int(number):
            raise RecipeError(f"Sentences are such as first:30 or sampled:30, but not {self.sentences!r}.")
        return {"@span_getters": f"spacy-elmo.{which}_sentences.v1", "n": int(number)}

    def _tok2vec(self, name: str) -> Settings:
        if self.baseline:
            width = "${components.tok2vec.model.encode.width}"
            return {"@architectures": "spacy.Tok2VecListener.v1", "width": width, "upstream": "tok2vec"}
        beside = {"vectors": self.vectors is not None, "transformer": self.transformer is not None}
        place = f"components.{name}.model.tok2vec" + (".tok2vec" if self._pool(name) else "")
        return tok2vec(place, self.reading(name), self.encoder, at_output=self.at_output, **beside)

    def _optimizer(self) -> Settings:
        if self.baseline:
            return choices.BASELINE_OPTIMIZER
        return {**choices.OPTIMIZER, "learn_rate": min(self._learn_rate(name) for name in self.readers)}

    def _learn_rate(self, name: str) -> float:
        if self._pool(name):
            return choices.SENTENCES_RATE
        usual: float = choices.OPTIMIZER["learn_rate"]
        return choices.LEARN_RATES.get(name, usual)

    def _paths(self) -> Settings:
        return {"kb": "kb"} if "entity_linker" in self.pipeline else {}

    def _initialized(self) -> Settings:
        """What a component is to be given before training."""
        loader = {"@misc": "spacy.KBFromFile.v1", "kb_path": "${paths.kb}"}
        return {"entity_linker": {"kb_loader": loader}} if "entity_linker" in self.pipeline else {}


def _sets_sentences(name: str) -> bool:
    return "doc.sents" in Language.get_factory_meta(name).assigns


def merged(base: Settings, updates: Settings) -> Settings:
    """A dict of dicts with other values."""
    found = {**base, **updates}
    for key in base.keys() & updates.keys():
        if isinstance(base[key], dict):
            found[key] = merged(base[key], updates[key])
    return found


def _corpus(part: str) -> Settings:
    return {"@readers": "spacy.Corpus.v1", "path": f"${{paths.{part}}}"}
