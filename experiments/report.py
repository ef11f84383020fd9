"""How results are shown and kept: Markdown to read, and JSON beside it to go on with."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from wasabi import MarkdownRenderer

METRICS = Path("metrics")
# How spaCy's scores are called in a table.
SCORE_NAMES = {"ents_f": "Entity F1", "cats_macro_f": "Macro F1", "cats_micro_f": "Accuracy"}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, ending with a line break."""
    return MarkdownRenderer().table(rows, header) + "\n"


def write(output: Path, text: str, results: Any) -> None:
    """Write `text` to OUTPUT.md and `results` to OUTPUT.json, and print the text."""
    keep(output, results)
    # Not `with_suffix`: a name may have a dot in it.
    output.with_name(f"{output.name}.md").write_text(text, "utf8")
    print(text)


def keep(output: Path, results: Any) -> None:
    """Write `results` to OUTPUT.json."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_name(f"{output.name}.json").write_text(json.dumps(results, indent=2) + "\n", "utf8")
