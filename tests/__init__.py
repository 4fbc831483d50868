"""A package, so that `tests.strategies` is ours wherever it is imported."""
