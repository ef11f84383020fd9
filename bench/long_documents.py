"""Documents of up to a million tokens through `nlp`: time, memory beyond what comes out, and whether it is right.

    python -m bench.long_documents [--tokens 100000 1000000] [--output DIR]

Words are those of the demo texts, in turns. Each row comes from a process of its own. "Beyond the output" is the peak
of its memory, less what there was before "elmo" ran, the Doc among it, and less what then lies on the Doc: vectors, and
where they are kept, layers. What is right: read alone, the first tokens have the same forward vectors and the last ones
the same backward vectors; or, with sentence boundaries, some sentences have the same ones. Writes long_documents.md and
.json, and prints the former. Linux alone.
"""

import argparse
import json
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from experiments import report
from experiments.memory import memory, reset_peak

TEXTS = Path(__file__).parent.parent / "assets" / "demo" / "train.jsonl"
CASES = [(sentences, kept) for sentences in (False, True) for kept in (False, True)]
# Tokens that are read again alone.
PROBE = 500


def measure(n_tokens: int, sentences: bool, kept: bool) -> dict[str, Any]:
    """One document, in this process."""
    nlp = spacy.blank("en")
    if sentences:
        nlp.add_pipe("sentencizer")
    nlp.add_pipe("elmo", config={"keep_layers": kept})
    texts = [json.loads(line)["text"] for line in TEXTS.read_text("utf8").splitlines()]
    words = [token.text for doc in map(nlp.make_doc, texts) for token in doc]
    nlp("A short text first.")
    doc = Doc(nlp.vocab, words=list(islice(cycle(words), n_tokens)))
    if sentences:
        doc = nlp.get_pipe("sentencizer")(doc)
    reset_peak()
    before = memory("VmRSS")
    start = time.perf_counter()
    doc = nlp.get_pipe("elmo")(doc)
    seconds = time.perf_counter() - start
    output = doc.tensor.nbytes + (doc._.elmo_layers.nbytes if kept else 0)
    beyond = memory("VmHWM") - before - output
    return {
        "tokens": n_tokens,
        "sentences": sentences,
        "kept": kept,
        "seconds": seconds,
        "output": output,
        "beyond": beyond,
        "difference": difference(nlp, doc, sentences),
    }


def difference(nlp: Language, doc: Doc, sentences: bool) -> float:
    """The largest difference of a number from that of a short text's reading."""
    if sentences:
        spans = list(doc.sents)
        probes = [(span.as_doc(), span, slice(None)) for span in (spans[0], spans[len(spans) // 2], spans[-1])]
    else:
        half = doc.tensor.shape[1] // 2
        first, last = doc[:PROBE], doc[-PROBE:]
        probes = [(first.as_doc(), first, slice(half)), (last.as_doc(), last, slice(half, None))]
    return max(
        float(np.abs(nlp.get_pipe("elmo")(alone).tensor[:, part] - doc.tensor[span.start : span.end, part]).max())
        for alone, span, part in probes
    )


def table(results: list[dict[str, Any]]) -> str:
    """Markdown, a row for each document."""
    header = ["tokens", "sentences", "layers kept", "seconds", "tokens/s", "output", "beyond the output", "difference"]
    rows = [
        [
            f"{one['tokens']:,}",
            "yes" if one["sentences"] else "no",
            "yes" if one["kept"] else "no",
            f"{one['seconds']:.1f}",
            f"{one['tokens'] / one['seconds']:,.0f}",
            f"{one['output'] / 1e9:.2f} GB",
            f"{one['beyond'] / 1e9:.2f} GB",
            f"{one['difference']:.0e}",
        ]
        for one in results
    ]
    return report.table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--output", type=Path, default=report.METRICS)
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        n_tokens, sentences, kept = map(int, arguments.case)
        print(json.dumps(measure(n_tokens, bool(sentences), bool(kept))))
        return
    results = []
    for n_tokens in arguments.tokens:
        for sentences, kept in CASES:
            case = [str(n_tokens), str(int(sentences)), str(int(kept))]
            command = [sys.executable, "-m", "bench.long_documents", "--case", *case]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
            print(results[-1], flush=True)
    report.write(arguments.output / "long_documents", table(results), results)


if __name__ == "__main__":
    main()
