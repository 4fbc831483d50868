"""The scalar arguments of the data sets: checked before anything is drawn.

A generator that silently reads ``n_per_class=1e3`` or ``noise=True`` makes a data
set that nobody asked for, and that is found out only after training on it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real

from stablerank.exceptions import InvalidInputError, NonFiniteError

__all__ = ["check_choice", "check_count", "check_real"]


def check_count(name: str, value: object, *, minimum: int = 1) -> None:
    """Raise unless `value` is an integer of at least `minimum`.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What the user gave.
    minimum : int, default=1
        The smallest value allowed.

    Raises
    ------
    InvalidInputError
        If it is not an integer, or too small.

    Examples
    --------
    >>> from stablerank.datasets.arguments import check_count
    >>> check_count("n_points", 0)
    Traceback (most recent call last):
        ...
    stablerank.exceptions.InvalidInputError: n_points must be an integer >= 1, got 0
    """
    wrong_type = not isinstance(value, Integral) or isinstance(value, bool)
    if wrong_type or value < minimum:  # type: ignore[operator]
        raise InvalidInputError(
            f"{name} must be an integer >= {minimum}, got {value!r}"
        )


def check_real(
    name: str,
    value: object,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
) -> None:
    """Raise unless `value` is a finite number in [minimum, maximum].

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What the user gave.
    minimum, maximum : float
        The closed range.

    Raises
    ------
    NonFiniteError
        If it is NaN or infinite.
    InvalidInputError
        If it is not a real number, or out of range.

    Examples
    --------
    >>> from stablerank.datasets.arguments import check_real
    >>> check_real("test_size", 1.5, minimum=0, maximum=1)
    Traceback (most recent call last):
        ...
    stablerank.exceptions.InvalidInputError: test_size must be in [0, 1], got 1.5
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InvalidInputError(f"{name} must be a number, got {value!r}")
    number = float(value)
    if not math.isfinite(number):
        raise NonFiniteError(f"{name} must be finite, got {value!r}")
    if not minimum <= number <= maximum:
        expected = (
            f">= {minimum}" if maximum == math.inf else f"in [{minimum}, {maximum}]"
        )
        raise InvalidInputError(f"{name} must be {expected}, got {value!r}")


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raise unless `value` is one of `choices`.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What the user gave.
    choices : collection
        What is allowed.

    Raises
    ------
    InvalidInputError
        If it is none of them.

    Examples
    --------
    >>> from stablerank.datasets.arguments import check_choice
    >>> check_choice("box", "ball", ("cloud", "unit"))
    Traceback (most recent call last):
        ...
    stablerank.exceptions.InvalidInputError: box must be one of 'cloud', ...
    """
    if not any(value is choice or value == choice for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise InvalidInputError(f"{name} must be one of {listed}, got {value!r}")
