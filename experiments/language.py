"""What a biLM of a language gave: a table of all languages that `spacy project run language` was run for.

    python -m experiments.language

For each language and share of the training data: how much its biLM has read, its perplexity on held-out text, and the
entity F1 of each system on the test set, as the mean over seeds. Reads training/language/LANGUAGE/model-last and
metrics/language-LANGUAGE.json; the table goes to metrics/languages.md and .json.
"""

import argparse
import json
from itertools import groupby
from pathlib import Path
from statistics import mean
from typing import Any

from spacy_elmo.language.metadata import read_facts

from . import report

PREFIX = "language-"
MODELS = Path("training") / "language"
DEFAULT = "tok2vec"


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Those of one language, from the file with its comparison."""
    language = path.stem.removeprefix(PREFIX)
    model = MODELS / language / "model-last"
    if (facts := read_facts(model)) is None:
        raise SystemExit(f"{model}: no pretrained model. Make it with: python -m spacy project run language")
    results = json.loads(path.read_text("utf8"))
    return [
        {
            "language": language,
            "tokens": facts["tokens"],
            # A model that went on from another one knows what that one had read.
            "tokens_before": facts.get("earlier", {}).get("tokens", 0),
            "perplexity": facts["perplexity"],
            "share": share,
            "scores": scores(list(runs)),
        }
        for share, runs in groupby(sorted(results, key=by_share, reverse=True), by_share)
    ]


def by_share(result: dict[str, Any]) -> float:
    return float(result["share"])


def scores(runs: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Of each system, by seed."""
    return {
        name: [run["score"] for run in sorted(runs, key=lambda run: run["seed"]) if run["system"] == name]
        for name in dict.fromkeys(run["system"] for run in runs)
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    header = ["language", "tokens read", "after a model that read", "perplexity", "training data"]
    header += ["system", "entity F1 on test", "to the default", "seeds"]
    lines = []
    for row in rows:
        default = mean(row["scores"][DEFAULT])
        for system, values in row["scores"].items():
            lines.append(
                [
                    row["language"],
                    f"{row['tokens'] / 1e6:.1f} million",
                    f"{row['tokens_before'] / 1e6:.1f} million" if row["tokens_before"] else "-",
                    f"{row['perplexity']:.0f}",
                    f"{row['share']:.0%}",
                    system,
                    f"{mean(values):.1f}",
                    f"{mean(values) - default:+.1f}" if system != DEFAULT else "-",
                    ", ".join(f"{value:.1f}" for value in values),
                ]
            )
    return report.table(header, lines)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    paths = sorted(report.METRICS.glob(f"{PREFIX}*.json"))
    if not paths:
        raise SystemExit(f"{report.METRICS}: no comparison. Make one with: python -m spacy project run language")
    rows = [row for path in paths for row in rows_of(path)]
    report.write(report.METRICS / "languages", table(rows), rows)


if __name__ == "__main__":
    main()
