"""The reference that is made of the code."""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from thinc.api import Config

from .blocks import DOCS, REPOSITORY


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    pytest.importorskip("sphinx", reason="needs Sphinx, of the extra 'docs'")
    sys.path.insert(0, str(DOCS / "_ext"))
    import generated

    return generated


def section(text: str, name: str) -> str:
    return text.split(f"\n## {name}\n")[1].split("\n## ")[0]


def test_it_has_commands_and_those_of_groups(generated: ModuleType) -> None:
    text = "\n".join(generated.commands())
    assert "| argument or option |" in section(text, "pretrain")
    assert "| `--limit` | `500` |" in section(text, "explain senses")
    assert "| `TEXT` | required |" in section(text, "explain cloze")


def test_it_has_components_with_their_settings_alone(generated: ModuleType) -> None:
    text = "\n" + "\n".join(generated.registered())
    assert "| `keep_layers` | `false` |" in section(text, "elmo")
    assert "| `source` | `null` |" in section(text, "spacy-elmo.ElmoModel.v1")
    alone = section(text, "elmo_similarity")
    assert 'factory = "elmo_similarity"' in alone
    assert "|" not in alone


def test_it_has_what_rooms_show(generated: ModuleType) -> None:
    text = "\n".join(generated.public())
    for name in ("similarity.WordFrequencies", "explain.find_senses", "load_bilm"):
        assert f":: spacy_elmo.{name}\n" in text


def test_it_has_all_settings_of_a_pretraining_config(generated: ModuleType) -> None:
    text = "\n" + "\n".join(generated.pretraining())
    config = Config().from_disk(REPOSITORY / "configs" / "pretrain_ja.cfg")
    own = {name: values for name, values in config.items() if name not in ("nlp", "components")}
    for name, values in sections(own):
        for key in values:
            assert f"| `{key}` |" in section(text, f"[{name}]"), f"{name}.{key}"


def sections(config: dict[str, Any], within: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The dotted name of each section, with the settings in it that are no sections themselves."""
    for name, value in config.items():
        settings = {key: each for key, each in value.items() if not isinstance(each, dict)}
        inner = {key: each for key, each in value.items() if isinstance(each, dict)}
        yield within + name, settings
        yield from sections(inner, f"{within}{name}.")
