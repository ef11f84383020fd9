"""The reference that is made of the code."""

import sys
from types import ModuleType

import pytest

from .blocks import DOCS


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
