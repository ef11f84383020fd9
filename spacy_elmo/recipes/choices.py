"""What was chosen by measurement for training configs. Nothing else says it: change it here, and make the configs anew.

The configs in `configs/` follow by `python -m experiments.configs`; which data chose stands in docs/results.md.
"""

from dataclasses import dataclass
from typing import Any

Settings = dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """How a component reads ELMo vectors.

    Attributes:
        hashed: Beside ELMo, hashed word forms, which learn the words of the task.
        encoded: Through a small encoder that learns the task; else the component gets the vectors as they are.
        output: The listener's, see `LayerMix`.
        layer_norm: The listener's.
        dropout: The listener's.
    """

    hashed: bool = False
    encoded: bool = True
    output: str = "mix"
    layer_norm: bool = False
    dropout: float = 0.3


# How each component reads, smaller and faster, or better. What is not named here reads as "*".
_POOLED = Reading(encoded=False)
READINGS: dict[str, dict[str, Reading]] = {
    "efficiency": {"*": Reading(), "textcat": _POOLED, "textcat_multilabel": _POOLED},
    "accuracy": {"*": Reading(hashed=True)},
}

# Where text categories are found by the vectors of sentences. Over hundreds of sentences these come to nearly the same
# for all texts, so they are made larger, by layer_norm, and the rate is higher.
SENTENCES_RATE = 0.01

# The encoder of a component.
WIDTH = 128
ENCODERS: dict[str, Settings] = {
    "window": {
        "@architectures": "spacy.MaxoutWindowEncoder.v2",
        "width": WIDTH,
        "depth": 2,
        "window_size": 1,
        "maxout_pieces": 3,
    },
    # The paper's.
    "bilstm": {"@architectures": "spacy.TorchBiLSTMEncoder.v1", "width": WIDTH, "depth": 1, "dropout": 0.0},
}
HASHED: Settings = {
    "@architectures": "spacy.MultiHashEmbed.v2",
    "width": 96,
    "attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE"],
    "rows": [5000, 1000, 2500, 2500],
    "include_static_vectors": False,
}

# What makes one vector of the vectors of a long text's sentences, for text categories.
_REDUCE: Settings = {
    "@architectures": "spacy.TextCatReduce.v1",
    "use_reduce_first": False,
    "use_reduce_last": False,
    "use_reduce_max": False,
    "use_reduce_mean": False,
}
POOLS: dict[str, Settings] = {
    "mean": {**_REDUCE, "use_reduce_mean": True},
    "max": {**_REDUCE, "use_reduce_max": True},
    "attention": {"@architectures": "spacy.TextCatParametricAttention.v1"},
}

# What a baseline has in place of ELMo: the tok2vec of `spacy init config`.
BASELINE: Settings = {
    "@architectures": "spacy.Tok2Vec.v2",
    "embed": {**HASHED, "width": "${components.tok2vec.model.encode.width}"},
    "encode": {**ENCODERS["window"], "width": 96, "depth": 4},
}

BATCH_SIZE = 256
TRAINING: Settings = {"dropout": 0.1, "patience": 800, "max_steps": 4000, "eval_frequency": 200}
BATCHER: Settings = {
    "@batchers": "spacy.batch_by_words.v1",
    "discard_oversize": False,
    "tolerance": 0.2,
    "size": {"@schedules": "compounding.v1", "start": 100, "stop": 1000, "compound": 1.001},
}
OPTIMIZER: Settings = {"@optimizers": "Adam.v1", "learn_rate": 0.003, "use_averages": True}
# Smaller for a component that does not take that: at 0.003 a span finder on ELMo says no to every token, for good.
LEARN_RATES: dict[str, float] = {"span_finder": 0.001}
BASELINE_OPTIMIZER: Settings = {"@optimizers": "Adam.v1", "learn_rate": 0.001, "use_averages": False}
# A biLM that is trained along: its layers one after another, at a share of that rate.
UNFREEZING: Settings = {"@callbacks": "spacy-elmo.gradual_unfreezing.v1", "every": 100, "rate": 0.1}

# The trainable components of spaCy, as a config's first sentence calls what they find; and where their settings are
# others than their factories', as in `spacy init config`.
COMPONENTS: dict[str, str] = {
    "tagger": "fine-grained parts of speech",
    "morphologizer": "parts of speech and morphology",
    "trainable_lemmatizer": "lemmas",
    "parser": "dependencies",
    "senter": "sentence boundaries",
    "ner": "named entities",
    "spancat": "spans that may overlap",
    "spancat_singlelabel": "spans of one label each",
    "span_finder": "spans without labels",
    "textcat": "text categories",
    "textcat_multilabel": "text categories of which several may apply",
    "entity_linker": "entities linked to a knowledge base",
}
HEADS: dict[str, Settings] = {
    "tagger": {"label_smoothing": 0.05},
    "morphologizer": {"label_smoothing": 0.05},
    "parser": {"model": {"hidden_width": 128, "maxout_pieces": 3}},
}
