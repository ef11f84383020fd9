"""The tables of `ja_elmo_sm`'s card: what it gives Japanese entities and parts of speech, against spaCy's default.

    python -m experiments.japanese

Nothing is trained: what was measured is in japanese_results.jsonl, a training a line, and its mean over seeds is shown.
`python -m spacy project run stockmark` trains the entities anew.
"""

import argparse
from pathlib import Path
from statistics import mean, stdev

import srsly

from . import report

RESULTS = Path(__file__).with_name("japanese_results.jsonl")
SCORES = {"entities": "entity F1", "parts of speech": "accuracy"}
SYSTEMS = {
    "elmo_and_hashes": "ELMo beside hashed features (`ner_ja.cfg`)",
    "elmo": "ELMo alone",
    "tok2vec": "spaCy's default tok2vec",
}


def table(task: str) -> str:
    """Markdown, a row for each share of the training data and system."""
    runs = [run for run in srsly.read_jsonl(RESULTS) if run["task"] == task]
    rows = []
    for share, system in dict.fromkeys((run["share"], run["system"]) for run in runs):
        scores = [run["test"] for run in runs if (run["share"], run["system"]) == (share, system)]
        spread = f" ± {stdev(scores):.1f}" if len(scores) > 1 else ""
        each = ", ".join(f"{score:.1f}" for score in scores)
        rows.append([f"{share:.0%}", SYSTEMS[system], f"**{mean(scores):.1f}**{spread}", each])
    return report.table(["training data", "system", f"{SCORES[task]} on test", "seeds"], rows)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for task in SCORES:
        print(table(task))


if __name__ == "__main__":
    main()
