"""How fast a biLM trains, beside the same model in plain PyTorch and beside what matrix products alone would allow.

    python -m bench.training --text TEXTS [--threads 2] [--rounds 5] [--ranks | --layer | --parts]

All ways take the same training steps (forward and backward language model, sampled softmax, Adam) on the same windows
of the texts, in turns, in one process: only the ratios are worth comparing with other machines. The plain ways run the
LSTM step by step and leave every gradient to autograd:

    plain, every token       the character CNN over each token, all positions, as bilm-tf and AllenNLP do
    plain, distinct words    the character CNN over each distinct word of a window, no further than the longest

`--layer` times a layer of the embedded model's shape, forward and backward, with the native kernel and without it, in
milliseconds of the processor. `--parts` takes a step of `pretrain_sm.cfg` apart, on one thread, in the same two ways
and milliseconds. `--ranks` times whole `pretrain` commands: one rank on one core, two on two, and two
in float32 without the kernel.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spacy_elmo import BiLM, BiLMConfig, BiLMState
from spacy_elmo.bilm.characters import PAD
from spacy_elmo.bilm.lstm import ProjectedLSTM
from spacy_elmo.bilm.native.library import VARIABLE
from spacy_elmo.corpus.corpus import Corpus
from spacy_elmo.corpus.prepare import prepare
from spacy_elmo.corpus.tokenize import TextSettings
from spacy_elmo.language import LanguageModel
from spacy_elmo.language.sampler import LogUniformSampler, Negatives
from spacy_elmo.pretraining.config import OptimizerSettings, read_config
from spacy_elmo.pretraining.objective import Objective
from spacy_elmo.pretraining.optimizer import Optimizer
from spacy_elmo.pretraining.randomness import Purpose, generator
from spacy_elmo.pretraining.windows import Window, Windows
from tests.reference.plain_lstm import plain_lstm

ROOT = Path(__file__).parent.parent

BATCH, UNROLL, NEGATIVES = 128, 20, 8192
CONFIG = ROOT / "configs" / "pretrain_sm.cfg"

Loss = Callable[[LanguageModel, Window, BiLMState, Negatives], tuple[Tensor, BiLMState]]


def ours(model: LanguageModel, window: Window, state: BiLMState, negatives: Negatives) -> tuple[Tensor, BiLMState]:
    loss, state = Objective(model)(window, state, negatives, None)
    return loss, state


def plain_distinct(
    model: LanguageModel, window: Window, state: BiLMState, negatives: Negatives
) -> tuple[Tensor, BiLMState]:
    longest = int((window.ids != PAD).sum(axis=1).max()) + max(width for width, _ in model.bilm.config.filters)
    table = plain_words(model.bilm, torch.from_numpy(window.ids[:, :longest]))
    return plain_loss(model, [table[torch.from_numpy(inputs)] for inputs in window.inputs], window, state, negatives)


def plain_every(
    model: LanguageModel, window: Window, state: BiLMState, negatives: Negatives
) -> tuple[Tensor, BiLMState]:
    words = [plain_words(model.bilm, torch.from_numpy(window.ids[inputs])) for inputs in window.inputs]
    return plain_loss(model, words, window, state, negatives)


def plain_words(bilm: BiLM, ids: Tensor) -> Tensor:
    cnn = bilm.char_cnn
    characters = cnn.embedding(ids).transpose(1, 2)
    x = torch.cat([torch.relu(conv(characters).max(dim=2).values) for conv in cnn.convolutions], dim=1)
    highway: Any
    for highway in cnn.highways:
        gate = torch.sigmoid(highway.carry(x))
        x = gate * torch.relu(highway.transform(x)) + (1 - gate) * x
    return cnn.projection(x)


def plain_loss(
    model: LanguageModel, words: list[Tensor], window: Window, state: BiLMState, negatives: Negatives
) -> tuple[Tensor, BiLMState]:
    starts, hidden, cell, outputs = torch.from_numpy(window.starts), [], [], []
    for direction, (x, stack) in enumerate(zip(words, model.bilm.stacks, strict=True)):
        for layer, lstm in enumerate(stack):
            before = state.hidden[direction, layer], state.cell[direction, layer]
            y, after = plain_lstm(lstm, x, [BATCH] * UNROLL, before, starts)
            x = y + x if layer else y
            hidden.append(after[0])
            cell.append(after[1])
        outputs.append(x)
    h, targets = torch.cat(outputs), torch.from_numpy(window.targets).flatten()
    classes, correction = torch.from_numpy(negatives.classes), torch.from_numpy(negatives.expected_counts).log()
    weight, bias = model.softmax.weight, model.softmax.bias - correction
    true = (h * weight[targets]).sum(dim=1) + bias[targets]
    sampled = F.linear(h, weight[classes], bias[classes])
    sampled = sampled.masked_fill(targets[:, None] == classes, -torch.inf)
    loss = F.cross_entropy(torch.cat([true[:, None], sampled], dim=1), torch.zeros_like(targets))
    shape = (2, len(model.bilm.forward_layers), BATCH, -1)
    return loss, BiLMState(torch.stack(hidden).view(shape).detach(), torch.stack(cell).view(shape).detach())


def products(config: BiLMConfig, window: Window) -> float:
    """Floating point operations of a step's matrix products; each runs once forward and twice backward."""
    rows = window.inputs.size
    gates = 4 * config.cell_dim * 2 * config.projection_dim
    lstm = rows * config.n_layers * (gates + config.cell_dim * config.projection_dim)
    softmax = rows * NEGATIVES * config.projection_dim
    lengths = (window.ids != PAD).sum(axis=1) + 1
    convolutions = sum(lengths.sum() * width * config.char_dim * count for width, count in config.filters)
    dense = 2 * config.n_highway * config.n_filters**2 + config.n_filters * config.projection_dim
    return 3 * 2 * float(lstm + softmax + convolutions + len(window.ids) * dense)


def best_rate() -> float:
    """The fastest matrix product found here, in operations a second."""
    rates = []
    for m, k, n in [(1024, 1024, 1024), (2048, 2048, 2048), (2560, 1024, 128), (128, 256, 4096), (512, 128, 8192)]:
        a, b = torch.randn(m, k), torch.randn(k, n)
        for _ in range(4):
            start = time.perf_counter()
            a @ b
            rates.append(2 * m * k * n / (time.perf_counter() - start))
    return max(rates)


def compare(corpus: Corpus, rounds: int) -> None:
    vocabulary = corpus.vocabulary(1, 40_000)
    config = BiLMConfig()
    sampler = LogUniformSampler(len(vocabulary), NEGATIVES)
    windows = Windows(
        corpus,
        corpus.classes(vocabulary),
        partial(corpus.words.character_ids, max_characters=config.max_characters),
        seed=0,
        unroll=UNROLL,
        n_lanes=BATCH,
        lanes=range(BATCH),
    )
    ways: dict[str, Loss] = {
        "plain, every token": plain_every,
        "plain, distinct words": plain_distinct,
        "spacy-elmo": ours,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    losses: dict[str, list[float]] = {name: [] for name in ways}
    runs = {}
    for name in ways:
        torch.manual_seed(0)
        model = LanguageModel(BiLM(config), vocabulary)
        runs[name] = model, Optimizer(model, OptimizerSettings(), 1000), BiLMState.zeros(config, BATCH)
    rates, operations, memory = [best_rate()], [], []
    for step in range(rounds + 1):
        window = windows.window(*divmod(step, windows.n_windows))
        negatives = sampler.draw(generator(0, step, Purpose.NEGATIVES))
        operations.append(products(config, window))
        for name, way in ways.items():
            model, optimizer, state = runs[name]
            start = time.perf_counter()
            loss, state = way(model, window, state, negatives)
            loss.backward()
            optimizer.clip()
            optimizer.apply(step)
            seconds[name].append(time.perf_counter() - start)
            losses[name].append(float(loss.detach()))
            runs[name] = model, optimizer, state
        rates.append(best_rate())
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)
    # The first round of each warms up.
    speeds = {name: BATCH * UNROLL / median(times[1:]) for name, times in seconds.items()}
    limit = BATCH * UNROLL * max(rates) / median(operations[1:])
    print(f"{torch.get_num_threads()} threads, {rounds} rounds, best matrix product {max(rates) / 1e9:.0f} GFLOP/s\n")
    print("| | tokens/s | spacy-elmo is | share of the products' limit |\n|---|---|---|---|")
    for name, speed in speeds.items():
        print(f"| {name} | {speed:,.0f} | {speeds['spacy-elmo'] / speed:.2f}x | {speed / limit:.0%} |")
    print(f"| matrix products alone, at the best rate | {limit:,.0f} | {speeds['spacy-elmo'] / limit:.2f}x | 100% |")
    print(f"\nPeak memory {memory[0]:,.0f} MB after the first round, {memory[-1]:,.0f} MB after the last")
    spread = max(abs(losses["spacy-elmo"][i] - losses[name][i]) for name in ways for i in range(rounds + 1))
    print(f"\nLargest difference of a step's loss between the ways: {spread:.1e} of {losses['spacy-elmo'][-1]:.2f}")


def compare_layer(rounds: int) -> None:
    torch.manual_seed(0)
    lstm, steps = ProjectedLSTM(128, 512, 128, cell_clip=3.0, projection_clip=3.0), [256] * 20
    x, starts = torch.randn(sum(steps), 128), torch.rand(sum(steps)) < 0.03
    state = torch.zeros(256, 128), torch.zeros(256, 512)
    seconds: dict[tuple[bool, str], list[float]] = {}
    for _ in range(rounds + 1):
        for way in [(half, native) for half in (False, True) for native in ("0", "")]:
            os.environ[VARIABLE] = way[1]
            start = time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=way[0]):
                output, _ = lstm(x, steps, state, starts)
            output.square().sum().backward()
            seconds.setdefault(way, []).append(time.process_time() - start)
    for (half, native), times in seconds.items():
        precision, name = "bfloat16" if half else "float32", "PyTorch" if native else "native kernel"
        print(f"{precision}, {name}: {1000 * median(times[1:]):.0f} ms")


def compare_parts(corpus: Corpus, config: BiLMConfig, rounds: int) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    vocabulary, n_lanes = corpus.vocabulary(1, 40_000), 256
    sampler, model = LogUniformSampler(len(vocabulary), NEGATIVES), LanguageModel(BiLM(config), vocabulary)
    ids = partial(corpus.words.character_ids, max_characters=config.max_characters)
    classes = corpus.classes(vocabulary)
    windows = Windows(corpus, classes, ids, seed=0, unroll=UNROLL, n_lanes=n_lanes, lanes=range(n_lanes))
    optimizer, objective = Optimizer(model, OptimizerSettings(), 1000), Objective(model)
    state = BiLMState.zeros(config, n_lanes)
    ways = {"PyTorch, float32": (False, "0"), "float32": (False, ""), "bfloat16": (True, "")}
    milliseconds: dict[str, dict[str, list[float]]] = {way: {} for way in ways}
    for step in range(rounds + 1):
        window = windows.window(step, 0)
        negatives = sampler.draw(generator(0, step, Purpose.NEGATIVES))
        for way, (half, native) in ways.items():
            os.environ[VARIABLE] = native
            last = time.process_time()

            def passed(part: str, *_: object, way: str = way) -> None:
                nonlocal last
                now = time.process_time()
                milliseconds[way].setdefault(part, []).append(1000 * (now - last))
                last = now

            with torch.autocast("cpu", torch.bfloat16, enabled=half, cache_enabled=False):
                table = model.bilm.word_encoder(torch.from_numpy(window.ids))
                passed("words, forward")
                words = [table[torch.from_numpy(inputs)] for inputs in window.inputs]
                starts = torch.from_numpy(window.starts)
                *tops, _, _ = objective.recurrence(*words, starts, state.hidden, state.cell)
                passed("layers, forward")
                loss = model.softmax(torch.cat(tops), torch.from_numpy(window.targets).flatten(), negatives)
                passed("softmax, forward")
            tops[1].register_hook(partial(passed, "softmax, backward"))
            table.register_hook(partial(passed, "layers, backward"))
            loss.backward()
            passed("words, backward")
            optimizer.clip()
            optimizer.apply(step)
            passed("optimizer")
    print("| milliseconds a step | " + " | ".join(ways) + " |" + "\n|---" + "|---" * len(ways) + "|")
    found = {way: {part: median(times[1:]) for part, times in parts.items()} for way, parts in milliseconds.items()}
    for part in next(iter(found.values())):
        print(f"| {part} | " + " | ".join(f"{parts[part]:,.0f}" for parts in found.values()) + " |")
    print("| all | " + " | ".join(f"{sum(parts.values()):,.0f}" for parts in found.values()) + " |")


def compare_ranks(text: Path, directory: Path, steps: int, rounds: int) -> None:
    """Whole commands in turns; the median of the log's speeds but for the first lines, which warm up."""
    ways = [
        ("as the config says", 1, "auto", ""),
        ("as the config says", 2, "auto", ""),
        ("PyTorch", 2, "float32", "0"),
    ]
    speeds: dict[tuple[str, int, str, str], list[float]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in ways:
            name, ranks, precision, native = way
            output = directory / f"{name}-{ranks}-{turn}"
            launcher = (
                ["torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "-m"] if ranks > 1 else []
            )
            command = [sys.executable, "-m", *launcher, "spacy", "elmo", "pretrain", str(CONFIG), "-o", str(output)]
            settings = {"paths.train": text, "training.max_steps": steps, "training.log_every": 1}
            settings |= {"training.evaluation.every": 10**6, "training.negatives": NEGATIVES, "vocabulary.min_count": 1}
            settings |= {"training.precision": precision}
            command += [word for key, value in settings.items() for word in (f"--{key}", str(value))]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", VARIABLE: native}
            subprocess.run(command, check=True, capture_output=True, env=environment, cwd=ROOT)
            lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
            found = [line["tokens_per_second"] for line in lines if "tokens_per_second" in line]
            speeds[way].append(median(found[3:]))
    base = median(speeds[ways[-1]])
    for (name, ranks, precision, _), found in speeds.items():
        rate = median(found)
        print(f"{ranks} ranks, {name}, {precision}: {rate:,.0f} tokens/s, {rate / base:.2f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, help="texts of some 100,000 words, as for `pretrain`")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layer", action="store_true")
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--ranks", action="store_true")
    parser.add_argument("--steps", type=int, default=20, help="of each command, with --ranks")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.layer:
        compare_layer(options.rounds)
        return
    if options.text is None:
        parser.error("--text is needed for all but --layer")
    with tempfile.TemporaryDirectory() as directory:
        if options.ranks:
            compare_ranks(options.text, Path(directory), options.steps, options.rounds)
            return
        config, _ = read_config(CONFIG, {"paths.train": str(options.text)})
        settings = TextSettings({"nlp": config.nlp, "components": config.components})
        corpus = prepare([options.text], None, settings, Path(directory) / "corpus", n_workers=1, show_progress=False)
        if options.parts:
            compare_parts(corpus, config.bilm_config(), options.rounds)
            return
        compare(corpus, options.rounds)


if __name__ == "__main__":
    main()
