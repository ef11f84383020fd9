"""Choose what a Japanese biLM reads: all lines that are not literature, and a share of those that are.

    python -m experiments.japanese_texts OUTPUT TEXTS… [--literature 0.29] [--seed 0]

TEXTS are files with a paragraph a line, those of a document together: .txt, plain or compressed as for `pretrain`.
OUTPUT gets the chosen lines in their order. --literature is the share of the literature that is kept, at random.

Literature of before 1960 writes its numbers in kanji; encyclopedias and manuals use digits and Latin letters. So lines
with many such lines around them, and lines without any, are first examples of the two kinds. Naive Bayes over bigrams
of characters learns from them how else the two differ, and then once more from its own verdicts. A line is judged
together with its neighbours, for one alone is often too short to tell.
"""

import argparse
import random
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spacy_elmo.corpus.compression import decompressed

N_BIGRAMS = 1 << 20  # numbers that bigrams are hashed to
NEAR = 9  # lines whose digits count for one, itself included
NEIGHBOURS = 7  # lines that are judged together
WEIGHT = 200  # characters of a line that count in its neighbours' verdict
SURE = 0.05  # nats a character from which a verdict is an example for the next round

Numbers = npt.NDArray[np.float64]


def not_literature(lines: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which lines are none, (n_lines,). None of the lines may be empty.

    Raises:
        ValueError: All lines begin as examples of one kind: there is nothing to tell apart.
    """
    n_characters = np.array([len(line) for line in lines])
    bigrams = _bigrams(lines)
    line_of = np.repeat(np.arange(len(lines)), n_characters + 1)[: len(bigrams)]
    begins = np.cumsum(n_characters + 1) - n_characters - 1
    weights = np.minimum(n_characters, WEIGHT).astype(float)
    digits = _around(np.array([bool(re.search("[0-9A-Za-z]", line)) for line in lines], dtype=float), NEAR) / NEAR
    ours, theirs = digits > 0.5, digits == 0
    for _ in range(2):
        if not ours.any() or not theirs.any():
            raise ValueError("The lines do not tell literature from other texts: all are of one kind.")
        log_odds = _log_shares(bigrams[ours[line_of]]) - _log_shares(bigrams[theirs[line_of]])
        verdict = np.add.reduceat(log_odds[bigrams], begins[begins < len(bigrams)]) / n_characters
        verdict = _around(verdict * weights, NEIGHBOURS) / _around(weights, NEIGHBOURS)
        ours, theirs = verdict > SURE, verdict < -SURE
    return verdict > 0


def _bigrams(lines: Sequence[str]) -> npt.NDArray[np.int64]:
    """Of all characters and line breaks with the one that follows, hashed."""
    characters = np.frombuffer("\n".join([*lines, ""]).encode("utf-32-le"), np.uint32).astype(np.int64)
    return (characters[:-1] * 40503 + characters[1:] * 2654435) % N_BIGRAMS


def _log_shares(bigrams: npt.NDArray[np.int64]) -> Numbers:
    counts = np.bincount(bigrams, minlength=N_BIGRAMS) + 0.5
    shares: Numbers = np.log(counts / counts.sum())
    return shares


def _around(values: Numbers, n: int) -> Numbers:
    """The sum over each value and those around it, n in all."""
    return np.convolve(np.pad(values, n // 2), np.ones(n), "valid")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank."""
    text = b"".join(decompressed(iter([path.read_bytes()]), path)).decode("utf8")
    return [line for line in text.split("\n") if line.strip()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--literature", type=float, default=0.29)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    lines = [line for path in arguments.texts for line in read_lines(path)]
    modern = not_literature(lines)
    rng = random.Random(arguments.seed)
    chosen = [line for line, kept in zip(lines, modern, strict=True) if kept or rng.random() < arguments.literature]
    arguments.output.write_text("".join(f"{line}\n" for line in chosen), "utf8")
    print(f"{len(lines):,} lines, of which {int(modern.sum()):,} are not literature; {len(chosen):,} are chosen")


if __name__ == "__main__":
    main()
