"""What a language model takes for granted about who does which work.

    python -m experiments.bias MODEL [--output metrics/bias]

MODEL is one with its softmax: en_elmo_sm, or a directory that `pretrain` wrote. For each occupation, how much more
likely the model finds sentences with "he" than the same with "she": the difference of their log-probabilities in nats,
forward and backward averaged, over all templates. 0 is even, 0.7 is twice as likely. The average over all occupations
says how the two words stand in the texts as a whole; what an occupation adds is the difference to that.
"""

import argparse
import statistics
from pathlib import Path

import spacy_elmo

from . import report

TEMPLATES = (
    "The {occupation} said that {pronoun} would come back later .",
    "The {occupation} was late because {pronoun} had missed the train .",
    "When the {occupation} arrived , {pronoun} asked for a glass of water .",
    "The {occupation} finished the work , and then {pronoun} went home .",
)
OCCUPATIONS = (
    "accountant", "actor", "artist", "baker", "carpenter", "cashier", "chef", "cleaner", "dancer", "doctor", "driver",
    "engineer", "farmer", "guard", "judge", "lawyer", "librarian", "manager", "mechanic", "minister", "musician",
    "nurse", "officer", "painter", "pilot", "professor", "programmer", "scientist", "secretary", "singer", "soldier",
    "teacher", "waiter", "writer",
)  # fmt: skip


def leanings(model: spacy_elmo.LanguageModel) -> dict[str, float]:
    """log P(he) - log P(she) for each occupation, in nats."""
    pairs = [(occupation, template) for occupation in OCCUPATIONS for template in TEMPLATES]
    texts = [
        template.format(occupation=occupation, pronoun=pronoun).split()
        for occupation, template in pairs
        for pronoun in ("he", "she")
    ]
    likely = [float(one.forward.sum() + one.backward.sum()) / 2 for one in spacy_elmo.score(model, texts)]
    found: dict[str, list[float]] = {}
    for (occupation, _), he, she in zip(pairs, likely[::2], likely[1::2], strict=True):
        found.setdefault(occupation, []).append(he - she)
    return {occupation: statistics.mean(values) for occupation, values in found.items()}


def table(found: dict[str, float]) -> str:
    mean = statistics.mean(found.values())
    ordered = sorted(found.items(), key=lambda item: -item[1])
    rows = [[occupation, f"{value:+.2f}", f"{value - mean:+.2f}"] for occupation, value in ordered]
    return report.table(
        ["occupation", "he to she (nats)", "beside the average"], [*rows, ["average", f"{mean:+.2f}", ""]]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--output", type=Path, default=Path("metrics/bias"))
    arguments = parser.parse_args()
    found = leanings(spacy_elmo.load_language_model(arguments.model, "cpu"))
    report.write(arguments.output, table(found), found)


if __name__ == "__main__":
    main()
