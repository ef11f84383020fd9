"""The occurrences of a word as points: by form alone in layer 0, by what it means in its sentence above."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..bilm import BiLM
from .directions import Array, directions
from .errors import ExplainError, MissingExtraError
from .occurrences import Occurrence

Method = Literal["pca", "umap"]

SEED = 0
MAX_CLUSTERS = 6
# Below this mean silhouette (Rousseeuw 1987), clusters are not told from one cloud.
MIN_SILHOUETTE = 0.1
# Vectors of one form in layer 0 are equal up to rounding; their variance is none.
NO_VARIANCE = 1e-9


@dataclass(frozen=True)
class Senses:
    """Occurrences of a word, in two dimensions in each layer.

    Attributes:
        word: What was looked for.
        occurrences: Where it stands.
        labels: Of each occurrence, its own label or else its cluster in the top layer.
        labelled_by: The attribute that the labels are of, or "cluster".
        points: (n_layers + 1, n_occurrences, 2) float32, in one scale, each layer turned so that it is as near as
            can be to the one above.
        explained: Of each layer's variance, the share that the two dimensions hold, (n_layers + 1,); NaN where there is
            none, and of UMAP, which knows no such share.
        cosines: (n_layers + 1, n_occurrences, n_occurrences) float32.
        method: "pca" or "umap".
    """

    word: str
    occurrences: tuple[Occurrence, ...]
    labels: tuple[str, ...]
    labelled_by: str
    points: Array
    explained: Array
    cosines: Array
    method: Method

    @property
    def n_layers(self) -> int:
        """The context-free word counts as one."""
        return len(self.points)

    def nearest(self, layer: int, i: int) -> list[int]:
        """The other occurrences, the nearest by cosine first."""
        return [j for j in np.argsort(-self.cosines[layer, i], kind="stable").tolist() if j != i]


def find_senses(
    bilm: BiLM,
    word: str,
    occurrences: Sequence[Occurrence],
    *,
    labelled_by: str = "cluster",
    method: Method = "pca",
) -> Senses:
    """Look at a word's occurrences in every layer.

    Args:
        bilm: The model.
        word: What they are occurrences of.
        occurrences: At least three.
        labelled_by: What their labels are of; "cluster" to ignore them and find clusters: by k-means on the top layer's
            directions, as many as have the best silhouette.
        method: "pca"; or "umap", which needs umap-learn.

    Raises:
        ExplainError: There are too few occurrences.
        MissingExtraError: scikit-learn, or umap-learn, is not installed.
    """
    if len(occurrences) < 3:
        found = f"{len(occurrences)} times" if occurrences else "nowhere"
        raise ExplainError(f"{word!r} stands {found} in these texts; a picture needs three occurrences or more.")
    layers = bilm.embed([occurrence.words for occurrence in occurrences])
    vectors = np.stack([a[:, one.position] for a, one in zip(layers, occurrences, strict=True)], axis=1)
    points, explained = _project(vectors, method)
    clusters = labelled_by == "cluster"
    return Senses(
        word,
        tuple(occurrences),
        tuple(_clusters(vectors[-1]) if clusters else (str(one.label) for one in occurrences)),
        labelled_by,
        points,
        explained,
        _cosines(vectors),
        method,
    )


def _cosines(vectors: Array) -> Array:
    unit = directions(vectors)
    return np.clip(unit @ unit.transpose(0, 2, 1), -1, 1)


def _project(vectors: Array, method: Method) -> tuple[Array, Array]:
    """Each layer to two dimensions, from the top down, each turned towards the one above."""
    found = [_two_dimensions(layer, method) for layer in vectors]
    points = [layer for layer, _ in found]
    for k in range(len(points) - 2, -1, -1):
        points[k] = points[k] @ _rotation(points[k], points[k + 1])
    return np.stack(points).astype(np.float32), np.array([share for _, share in found], dtype=np.float32)


def _two_dimensions(layer: Array, method: Method) -> tuple[npt.NDArray[Any], float]:
    variance = float(layer.var(axis=0).sum())
    if variance < NO_VARIANCE:
        return np.zeros((len(layer), 2)), float("nan")
    if method == "umap":
        try:
            from umap import UMAP
        except ImportError:
            raise MissingExtraError("umap-learn", "umap") from None
        n_neighbors = min(15, len(layer) - 1)
        points = UMAP(n_neighbors, metric="cosine", random_state=SEED, n_jobs=1).fit_transform(layer)
        return points - points.mean(axis=0), float("nan")
    try:
        from sklearn.decomposition import PCA
    except ImportError:
        raise MissingExtraError("scikit-learn") from None
    points = PCA(n_components=2, svd_solver="full").fit_transform(layer)
    return points, float(points.var(axis=0).sum() / variance)


def _rotation(points: npt.NDArray[Any], target: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The orthogonal matrix that takes points nearest to others (Schönemann 1966)."""
    u, _, v = np.linalg.svd(points.T @ target)
    return u @ v


def _clusters(vectors: Array) -> list[str]:
    """The cluster of each vector, "1" for the largest."""
    try:
        from sklearn.cluster import KMeans
        from sklearn.metrics import silhouette_score
    except ImportError:
        raise MissingExtraError("scikit-learn") from None
    unit = directions(vectors)
    best, labels = MIN_SILHOUETTE, np.zeros(len(unit), dtype=np.int64)
    n_distinct = len(np.unique(unit.round(4), axis=0))  # a sentence may come again and again
    for k in range(2, min(MAX_CLUSTERS, len(unit) - 1, n_distinct) + 1):
        found = KMeans(k, n_init=10, random_state=SEED).fit_predict(unit)
        if (silhouette := float(silhouette_score(unit, found))) > best:
            best, labels = silhouette, found
    by_size = np.argsort(-np.bincount(labels), kind="stable").tolist()
    return [str(by_size.index(label) + 1) for label in labels.tolist()]
