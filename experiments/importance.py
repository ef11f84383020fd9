"""Which baseline integrated gradients should begin from: the padding word, or the mean of words' vectors.

    python -m experiments.importance PIPELINE COMPONENT TEXTS.spacy [--limit 40] [--output metrics/importance]

Four answers for each baseline, over the decisions about the first texts. How near a text of baseline words is to
saying nothing: for a text categorizer, the distance of its probability from an even guess. How many steps the shares
take to add up within 1 %. How well the shares agree with occlusion by the same baseline (Pearson's correlation over
tokens, the mean of texts). And for a text categorizer what the pipeline itself says when the N_REMOVED words of the
largest share are cut out of the text (comprehensiveness, DeYoung et al. 2020), beside as many words drawn at random:
the more is lost, the more it was these words. The mean is one over the words of all the texts, or of the text itself.
"""

import argparse
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy import Language
from spacy.tokens import Doc

from spacy_elmo.explain import Importance, explain_decisions

from . import report
from .datasets import read_docs

N_REMOVED = 2


def without(doc: Doc, positions: list[int]) -> Doc:
    return Doc(doc.vocab, words=[token.text for token in doc if token.i not in positions])


def lost(nlp: Language, doc: Doc, one: Importance, positions: list[int]) -> float:
    """What the category loses without these words."""
    return one.score - nlp(without(doc, positions)).cats[one.decision]


def measured(nlp: Language, component: str, docs: list[Doc], background: list[str] | None) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    decider: Any = nlp.get_pipe(component)
    rows: dict[str, list[float]] = {"from_even": [], "steps": [], "agreement": [], "lost": [], "lost_random": []}
    for doc in docs:
        for one in explain_decisions(nlp, component, doc, background=background).decisions:
            rows["steps"].append(one.n_steps)
            rows["agreement"].append(float(np.corrcoef(one.gradients, one.occlusion)[0, 1]))
            if one.decision in doc.cats and len(doc) > 2 * N_REMOVED:
                rows["from_even"].append(abs(one.baseline_score - 1 / len(decider.labels)))
                largest = np.argsort(-one.gradients)[:N_REMOVED].tolist()
                rows["lost"].append(lost(nlp, doc, one, largest))
                drawn = rng.choice(len(doc), N_REMOVED, replace=False).tolist()
                rows["lost_random"].append(lost(nlp, doc, one, drawn))
    return {key: float(np.mean(values)) if values else None for key, values in rows.items()}


def table(found: dict[str, dict[str, Any]]) -> str:
    names = {
        "from_even": "baseline text from even",
        "steps": "steps",
        "agreement": "agreement with occlusion",
        "lost": f"lost without its {N_REMOVED} words",
        "lost_random": "lost without random words",
    }
    rows = [
        [name, *("" if values[key] is None else f"{values[key]:.2f}" for key in names)]
        for name, values in found.items()
    ]
    return report.table(["baseline", *names.values()], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("component")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--output", type=Path, default=Path("metrics/importance"))
    arguments = parser.parse_args()
    nlp = spacy.load(arguments.pipeline)
    texts = list(islice(read_docs(arguments.texts), arguments.limit))
    words = [token.text for doc in texts for token in doc]
    docs = [nlp(Doc(nlp.vocab, words=[token.text for token in doc])) for doc in texts]
    found = {
        name: measured(nlp, arguments.component, docs, background)
        for name, background in (("padding", []), ("mean of all texts", words), ("mean of the text", None))
    }
    report.write(arguments.output, table(found), found)


if __name__ == "__main__":
    main()
