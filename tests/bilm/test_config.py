import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from spacy_elmo import BiLMConfig
from spacy_elmo.bilm.config import LexiconConfig
from spacy_elmo.errors import ArgumentError

VALUES = BiLMConfig().to_dict()


def with_value(key: str, value: Any) -> dict[str, Any]:
    return {**VALUES, key: value}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("char_dim", 0),
        ("char_dim", -16),
        ("projection_dim", 0),
        ("cell_dim", 0),
        ("cell_dim", -1),
        ("n_layers", 0),
        ("n_highway", -1),
        ("activation", "gelu"),
        ("activation", "ReLU"),
        ("activation", ""),
        ("activation", None),
        ("max_characters", 2),
        ("max_characters", 0),
        ("filters", []),
        ("filters", [[0, 4]]),
        ("filters", [[-1, 4]]),
        ("filters", [[1, 0]]),
        ("filters", [[1, 4], [2, -8]]),
        ("filters", [[51, 4]]),
        ("cell_clip", 0),
        ("cell_clip", -3.0),
        ("cell_clip", float("nan")),
        ("projection_clip", 0.0),
        ("projection_clip", -0.5),
    ],
)
def test_a_value_that_makes_no_model_is_named(key: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=rf"'{key}' is .+, but must be"):
        BiLMConfig.from_dict(with_value(key, value))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("char_dim", "16"),
        ("char_dim", None),
        ("projection_dim", 12.5),
        ("cell_dim", [1024]),
        ("n_layers", None),
        ("n_layers", 1.5),
        ("n_highway", "one"),
        ("max_characters", 49.9),
        ("filters", None),
        ("filters", 7),
        ("filters", [[1]]),
        ("filters", [[1, 2, 3]]),
        ("filters", [[1.5, 4]]),
        ("filters", ["many"]),
        ("cell_clip", "3"),
        ("projection_clip", [3]),
    ],
)
def test_a_value_of_another_type_is_named(key: str, value: Any) -> None:
    with pytest.raises((TypeError, ArgumentError), match=f"'{key}'"):
        BiLMConfig.from_dict(with_value(key, value))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("char_dim", 1),
        ("projection_dim", 1),
        ("cell_dim", 1),
        ("n_layers", 1),
        ("n_highway", 0),
        ("activation", "tanh"),
        ("max_characters", 7),
        ("filters", ((50, 1),)),
        ("cell_clip", None),
        ("projection_clip", 0.5),
        ("skip_connections", False),
    ],
)
def test_the_smallest_allowed_values_are_kept(key: str, value: Any) -> None:
    assert getattr(BiLMConfig.from_dict(with_value(key, value)), key) == value


def test_unknown_and_missing_keys_are_listed() -> None:
    with pytest.raises(ArgumentError, match=r"unknown keys \['depth', 'n_layer'\].*'n_layers'"):
        BiLMConfig.from_dict({**VALUES, "n_layer": 2, "depth": 1})
    incomplete = {key: value for key, value in VALUES.items() if key not in ("filters", "cell_clip")}
    with pytest.raises(ArgumentError, match=r"missing keys \['cell_clip', 'filters'\]"):
        BiLMConfig.from_dict(incomplete)


def test_json_and_back() -> None:
    config = BiLMConfig(filters=((2, 5), (3, 7)), cell_clip=None, activation="tanh")
    again = BiLMConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert hash(again) == hash(config)
    assert again.filters == ((2, 5), (3, 7))


def test_widths() -> None:
    config = BiLMConfig(filters=((2, 5), (3, 7)), projection_dim=9)
    assert config.n_filters == 12
    assert config.width == 18


def test_a_config_does_not_change() -> None:
    config = BiLMConfig()
    with pytest.raises(FrozenInstanceError):
        config.n_layers = 3  # type: ignore[misc]


# Lexicons

LEXICON = {"n_words": 7, "word_dim": 3, "n_characters": 9}


def test_a_config_of_before_there_were_lexicons() -> None:
    assert "lexicon" not in VALUES
    assert BiLMConfig.from_dict(VALUES).lexicon is None
    assert BiLMConfig.from_dict(with_value("lexicon", None)) == BiLMConfig.from_dict(VALUES)


@pytest.mark.parametrize(
    ("changes", "feature_dim"), [({}, 12 + 3), ({"n_words": 0, "word_dim": 0}, 12), ({"n_characters": 0}, 3)]
)
def test_a_lexicon_to_json_and_back(changes: dict[str, int], feature_dim: int) -> None:
    config = BiLMConfig(filters=((2, 5), (3, 7)), lexicon=LexiconConfig(**{**LEXICON, **changes}))
    again = BiLMConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert hash(again) == hash(config)
    assert again.feature_dim == feature_dim
    assert BiLMConfig(filters=config.filters).feature_dim == 12


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"n_words": -1}, r"'lexicon\.n_words' is -1"),
        ({"word_dim": 2.5}, r"'lexicon\.word_dim' is 2\.5"),
        ({"n_characters": None}, r"'lexicon\.n_characters' is None"),
        ({"n_words": 0}, r"'lexicon\.n_words' is 0 and 'lexicon\.word_dim' is 3"),
        ({"word_dim": 0}, r"'lexicon\.n_words' is 7 and 'lexicon\.word_dim' is 0"),
        ({"n_words": 0, "word_dim": 0, "n_characters": 0}, "neither words nor characters"),
        ({"n_word": 7}, r"unknown keys \['n_word'\].*'n_words'"),
    ],
)
def test_a_lexicon_that_makes_no_model_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ArgumentError, match=named):
        BiLMConfig.from_dict(with_value("lexicon", {**LEXICON, **changes}))


@pytest.mark.parametrize("value", [7, [], "words", True])
def test_a_lexicon_of_another_type_is_named(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"'lexicon' is .+, but must be"):
        BiLMConfig.from_dict(with_value("lexicon", value))
    with pytest.raises(ArgumentError, match=r"'lexicon' is .+, but must be"):
        BiLMConfig(lexicon=value)


def test_a_lexicon_with_missing_keys() -> None:
    with pytest.raises(ArgumentError, match=r"missing keys \['n_characters', 'word_dim'\]"):
        BiLMConfig.from_dict(with_value("lexicon", {"n_words": 7}))
