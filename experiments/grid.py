"""Systems on data sets, shares of the training data, and seeds: a table of their scores on test, and a picture.

    python -m experiments.grid NAME --systems default ELMo [--data uner wnut17 …] [--shares 0.1 1.0] [--seeds 0 1 2]
        [--picture docs/images/NAME]

Corpora lie in corpus/. All systems are trained by the same limits and optimizer (`experiments.training.LIMITS`), on
shares that the seed draws and that are the same for all of them. A run that was made before is not repeated, so a grid
may be run in parts, and in several processes. The table goes to metrics/NAME.md and .json; the picture, how scores grow
with the training data, to PICTURE-light and PICTURE-dark, .svg and .png.
"""

import argparse
import statistics
from itertools import product
from pathlib import Path
from typing import Any

import torch

from spacy_elmo.explain.pages import charts, theme

from . import report
from .training import DATA, SYSTEMS, Run, Runs

SCORE_TITLES = {"ents_f": "entity F1", "cats_micro_f": "accuracy"}
# The width of a data set's part of the picture, in pixels.
PANEL = 340


def table(results: list[dict[str, Any]]) -> str:
    """Markdown, a row for each data set and share, a column for each system."""
    systems = list(dict.fromkeys(one["system"] for one in results))
    rows = []
    for data, share in dict.fromkeys((one["data"], one["share"]) for one in results):
        scores = [values_of(results, data, share, system) for system in systems]
        best = max(statistics.mean(values) for values in scores)
        rows.append([DATA[data].title, f"{share:.0%}", *(cell(values, best) for values in scores)])
    return report.table(["data", "training data", *systems], rows)


def values_of(results: list[dict[str, Any]], data: str, share: float, system: str) -> list[float]:
    """Scores on test, a seed each."""
    wanted = (data, share, system)
    return [one["test"] for one in results if (one["data"], one["share"], one["system"]) == wanted]


def cell(values: list[float], best: float) -> str:
    """Mean and standard deviation over seeds; the best mean of a row is bold."""
    mean = statistics.mean(values)
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return (f"**{mean:.1f}**" if mean == best else f"{mean:.1f}") + spread


def chart(results: list[dict[str, Any]]) -> Any:
    """A panel for each data set: the mean over seeds, and error bars from the lowest to the highest."""
    alt = charts.altair()
    systems = list(dict.fromkeys(one["system"] for one in results))
    shares = sorted({one["share"] for one in results})
    ticks = alt.Axis(title="share of the training data", format=".0%", values=shares)
    x = alt.X("share:Q", scale=alt.Scale(type="log"), axis=ticks)
    colour = alt.Color("system:N", title=None, sort=systems, scale=alt.Scale(domain=systems))
    shape = alt.Shape("system:N", title=None, sort=systems, scale=alt.Scale(domain=systems, range=theme.SHAPES))

    def panel(data: str) -> Any:
        rows = [one for one in results if one["data"] == data]
        base = alt.Chart(alt.Data(values=rows)).encode(x=x, color=colour)
        y = alt.Axis(title=SCORE_TITLES[DATA[data].score], grid=True, tickCount=5)
        lines = base.mark_line(strokeWidth=2).encode(y=alt.Y("mean(test):Q", axis=y))
        bars = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("min(test):Q", axis=y), y2="max(test):Q")
        points = base.mark_point(filled=True, size=60, opacity=1).encode(y=alt.Y("mean(test):Q", axis=y), shape=shape)
        return (lines + bars + points).properties(title=DATA[data].title, width=PANEL, height=0.7 * PANEL)

    panels = [panel(data) for data in dict.fromkeys(one["data"] for one in results)]
    return alt.concat(*panels, columns=2, spacing=24)


def draw(results: list[dict[str, Any]], output: Path) -> None:
    """Write the picture, SVG and PNG, light and dark."""
    output.parent.mkdir(parents=True, exist_ok=True)
    for scheme, colours in (("light", theme.LIGHT), ("dark", theme.DARK)):
        picture = charts.picture(chart(results), colours)
        output.with_name(f"{output.name}-{scheme}.svg").write_text(picture, "utf8")
        output.with_name(f"{output.name}-{scheme}.png").write_bytes(charts.png(picture))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, required=True)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--shares", nargs="+", type=float, default=[1.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs = Runs()
    # Seed after seed, so that what was stopped has whole curves.
    grid = product(arguments.seeds, arguments.data, arguments.shares, arguments.systems)
    results = [runs.result(Run(data, system, share, seed)) for seed, data, share, system in grid]
    report.write(report.METRICS / arguments.name, table(results), results)
    if arguments.picture is not None:
        draw(results, arguments.picture)


if __name__ == "__main__":
    main()
