"""A table: choose a model by what it can prove, in a pipeline and a grid search.

    python examples/table.py

Accuracy alone would choose the model that is easiest to fool. Here the score is the
share of rows that are right and stay right if every standardised column changes by at
most EPS.
"""

from __future__ import annotations

import math

from numpy.typing import ArrayLike
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import stablerank as sr

EPS = 0.2  # in standard deviations of each column


def certified_accuracy(pipe: Pipeline, X: ArrayLike, y: ArrayLike) -> float:
    """Score of a fitted pipeline, in the units of its last step."""
    return pipe[-1].certified_score(pipe[:-1].transform(X), y, EPS)


def main() -> None:
    X, y = load_wine(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.4, random_state=0, stratify=y
    )
    pipe = make_pipeline(
        StandardScaler(),
        sr.LipschitzClassifier(norm=math.inf, hidden=(32,), epochs=30, random_state=0),
    )
    search = GridSearchCV(
        pipe,
        {"lipschitzclassifier__preset": ["accurate", "balanced", "robust"]},
        scoring=certified_accuracy,
        cv=3,
    ).fit(X, y)
    print(f"right and certified at {EPS}, in cross-validation:")
    results = search.cv_results_
    for params, score in zip(
        results["params"], results["mean_test_score"], strict=True
    ):
        print(f"  {params['lipschitzclassifier__preset']:<10}{score:.0%}")

    best = search.best_estimator_
    certificates = best[-1].certify(best[:-1].transform(X_test), sr.FeatureBall())
    print(f"\nchosen: {best[-1].preset}; on rows that nobody has looked at")
    print(f"  right: {certificates.accuracy(y_test):.0%}")
    print(f"  right, and proved to stay so: {certificates.accuracy(y_test, EPS):.0%}")
    print("\nthe first rows:")
    for i in range(5):
        print(
            f"  class {certificates.label[i]}, whatever happens up to "
            f"{certificates.radius[i]:.2f} in every column"
        )


if __name__ == "__main__":
    main()
