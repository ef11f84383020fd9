"""Score what `experiments.compare` trained on test sets with typing errors, and show what each system loses.

    python -m experiments.compare_noise NAME --corpus corpus/wnut17 --score ents_f --baseline tok2vec \\
        [--rates 0.1 0.2] [--noise-seeds 0 1 2] [--seeds 0] [--shares 1.0]

NAME, --corpus and --score are those of `experiments.compare`. For each of --rates and --noise-seeds, errors are put
into the test set as by `experiments.noise`; that set goes to training/NAME/. The clean test set is scored here again:
both scores are of the same code and machine. The table goes to metrics/NAME-noise.md and .json.
"""

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any

import spacy
from spacy.training import Corpus

from . import report
from .compare import Run
from .datasets import read_docs, write_docs
from .noise import noised

Result = dict[str, Any]
NOTHING = "-"


def trained_runs(arguments: argparse.Namespace) -> list[Run]:
    """Those in the comparison's table, or the part of them that was asked for."""
    path = report.METRICS / f"{arguments.name}.json"
    if not path.is_file():
        raise SystemExit(f"{path}: no such file. Make it with: python -m experiments.compare {arguments.name}")
    results = json.loads(path.read_text("utf8"))
    runs = [Run(result["system"], Path(result["config"]), result["share"], result["seed"]) for result in results]
    for option, wanted, found in (
        ("--baseline", {arguments.baseline}, {run.system for run in runs}),
        ("--seeds", set(arguments.seeds or ()), {run.seed for run in runs}),
        ("--shares", set(arguments.shares or ()), {run.share for run in runs}),
    ):
        if missing := wanted - found:
            raise SystemExit(f"{option} {missing.pop()}: {path} has none; it has {', '.join(map(str, sorted(found)))}.")
    return [
        run
        for run in runs
        if run.seed in (arguments.seeds or (run.seed,)) and run.share in (arguments.shares or (run.share,))
    ]


def noised_sets(arguments: argparse.Namespace) -> dict[tuple[float, int], Path]:
    """The test set with errors, for each rate and seed."""
    docs = read_docs(arguments.corpus / "test.spacy")
    folder = Path("training") / arguments.name
    paths = {}
    for rate in arguments.rates:
        for seed in arguments.noise_seeds:
            path = folder / f"test-noise{rate:g}-seed{seed}.spacy"
            write_docs(noised(docs, rate, seed), path)
            paths[rate, seed] = path
    return paths


def score(run: Run, sets: dict[tuple[float, int], Path], arguments: argparse.Namespace) -> list[Result]:
    """One trained system's scores: on the clean test set, and on each with errors."""
    nlp = spacy.load(pipeline_folder(run, arguments))
    clean, *others = (
        100 * nlp.evaluate(list(Corpus(path)(nlp)))[arguments.score]
        for path in (arguments.corpus / "test.spacy", *sets.values())
    )
    print(f"{arguments.name}: {run.name}: {clean:.1f}; {', '.join(f'{other:.1f}' for other in others)}", flush=True)
    return [
        {
            "system": run.system,
            "share": run.share,
            "seed": run.seed,
            "rate": rate,
            "noise_seed": seed,
            "clean": clean,
            "noised": other,
        }
        for (rate, seed), other in zip(sets, others, strict=True)
    ]


def pipeline_folder(run: Run, arguments: argparse.Namespace) -> Path:
    return Path("training") / arguments.name / run.name / "model-best"


def table(results: list[Result], key: str, baseline: str) -> str:
    """Markdown, a row for each share of the data, rate of errors and system. Losses are those of the mean scores."""
    name = report.SCORE_NAMES.get(key, key)
    header = ["training data", "typos", "system", f"{name}, clean", f"{name}, typos", "lost, points", "lost, percent"]
    header += [f"points to {baseline}'s", f"percent to {baseline}'s", "each seed"]
    rows = []
    for (share, rate), setting in grouped(results, "share", "rate").items():
        systems = {system: runs for (system,), runs in grouped(setting, "system").items()}
        its_points, its_percent = losses(systems[baseline])
        for system, runs in systems.items():
            points, percent = losses(runs)
            ratios = [ratio(points, its_points), ratio(percent, its_percent)] if system != baseline else [NOTHING] * 2
            scores = [f"{average(runs, column):.1f}" for column in ("clean", "noised")]
            each = ", ".join(
                f"{average(seed, 'clean'):.1f} → {average(seed, 'noised'):.1f}"
                for seed in grouped(runs, "seed").values()
            )
            cells = [f"{share:.0%}", f"{100 * rate:g}%", system, *scores, f"{points:.1f}", f"{percent:.1f}"]
            rows.append([*cells, *ratios, each])
    return report.table(header, rows)


def grouped(results: list[Result], *keys: str) -> dict[tuple[Any, ...], list[Result]]:
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        groups.setdefault(tuple(result[key] for key in keys), []).append(result)
    return groups


def average(results: list[Result], column: str) -> float:
    return mean(result[column] for result in results)


def losses(results: list[Result]) -> tuple[float, float]:
    """What is lost, in points and in percent of the clean score. A clean score of 0 has nothing to lose."""
    clean = average(results, "clean")
    points = clean - average(results, "noised")
    return points, 100 * points / clean if clean else 0.0


def ratio(loss: float, baseline: float) -> str:
    """Where the baseline loses nothing, there is none."""
    return f"{loss / baseline:.2f}" if baseline > 0 else NOTHING


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--score", required=True, help="the key in spaCy's scores, such as ents_f")
    parser.add_argument("--baseline", required=True, metavar="SYSTEM", help="whose losses the others are compared with")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.2])
    parser.add_argument("--noise-seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seeds", type=int, nargs="+", help="of the comparison's seeds these alone")
    parser.add_argument("--shares", type=float, nargs="+", help="of the comparison's shares these alone")
    arguments = parser.parse_args()
    if outside := [rate for rate in arguments.rates if not 0 <= rate <= 1]:
        raise SystemExit(f"--rates {outside[0]}: a probability is from 0 to 1.")
    if not (test := arguments.corpus / "test.spacy").is_file():
        raise SystemExit(f"{test}: no such file.")
    runs = trained_runs(arguments)
    if missing := [folder for run in runs if not (folder := pipeline_folder(run, arguments)).is_dir()]:
        raise SystemExit(f"{missing[0]}: no such folder. Train it with: python -m experiments.compare {arguments.name}")
    sets = noised_sets(arguments)
    results = [result for run in runs for result in score(run, sets, arguments)]
    text = table(results, arguments.score, arguments.baseline)
    report.write(report.METRICS / f"{arguments.name}-noise", text, results)


if __name__ == "__main__":
    main()
