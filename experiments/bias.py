"""What a language model takes for granted about who does which work.

    python -m experiments.bias MODEL [--output metrics/bias]

MODEL is one with its softmax: en_elmo_sm, or a directory that `pretrain` wrote. For each occupation, how much more
likely the model finds sentences with "he" than the same with "she", see `spacy_elmo.explain.bias`; `python -m spacy
elmo explain bias` shows the same as a page, with intervals.
"""

import argparse
from pathlib import Path

import spacy_elmo
from spacy_elmo.explain import Bias, measure_bias

from . import report


def table(bias: Bias) -> str:
    rows = [
        [one.occupation, f"{one.mean:+.2f}", f"{one.mean - bias.mean:+.2f}"]
        for one in sorted(bias.leanings, key=lambda one: -one.mean)
    ]
    return report.table(
        ["occupation", "he to she (nats)", "beside the average"], [*rows, ["average", f"{bias.mean:+.2f}", ""]]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--output", type=Path, default=Path("metrics/bias"))
    arguments = parser.parse_args()
    bias = measure_bias(spacy_elmo.load_language_model(arguments.model, "cpu"))
    report.write(arguments.output, table(bias), {one.occupation: one.mean for one in bias.leanings})


if __name__ == "__main__":
    main()
