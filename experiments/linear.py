"""What of a label can be read off a vector: a linear classifier, which has no seed and one minimum."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def classify(
    x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], test: npt.NDArray[np.float32], l2: float
) -> npt.NDArray[np.int64]:
    """Softmax regression on standardised columns.

    Args:
        x: (n, width), what to learn from.
        y: (n,), their classes.
        test: (n_test, width), what to classify.
        l2: The penalty: the minimum is of the summed cross entropy plus l2 / 2 times the squared weights, the biases
            left out.

    Returns:
        The class of each test row, (n_test,).
    """
    regression = LogisticRegression(C=1 / l2, tol=1e-5, max_iter=500)
    found: Any = make_pipeline(StandardScaler(), regression).fit(x, y).predict(test)
    return np.asarray(found, dtype=np.int64)
