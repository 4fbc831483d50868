"""Moves to try on a certified model, for the figures of `stablerank certify`.

Down the gradient of the margin, where the filtration knows what sets its bars; all
points together; and in random directions.  They show that a certificate is no empty
promise; how good it is takes more attacks than a figure has time for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stablerank.certify import Certificates, StageRatios

__all__ = ["first_flips", "seen_stages"]

#: Sizes tried, in units of each cloud's radius.
_FACTORS = (1.0, 1.5, 2.0, 4.0, 8.0, 16.0)


def first_flips(
    model: Any, clouds: list[Any], cert: Certificates, tries: int
) -> NDArray[np.float64]:
    """Size of the smallest move found to change each label; inf where none did.

    Parameters
    ----------
    model : SRNClassifier
        Reads the clouds.
    clouds : list of ndarray
        Clean.
    cert : Certificates
        Of these clouds, under a threat to points.
    tries : int
        Moves of a cloud at each size.
    """
    import numpy as np

    found = np.full(len(clouds), np.inf)
    for factor in _FACTORS:
        for attempt in range(tries):
            rows = np.flatnonzero(_can_move(cert) & np.isinf(found))
            if not len(rows):
                return found
            moved = _moves(model, clouds, cert, rows, (factor, attempt))
            changed = model.predict(moved) != cert.label[rows]
            for k in np.flatnonzero(changed):
                found[rows[k]] = cert.threat.distance_up(clouds[rows[k]], moved[k])
    return found


def seen_stages(
    model: Any, clouds: list[Any], cert: Certificates, tries: int
) -> StageRatios:
    """What the worst of some moves, of the size of the radius, shows of each stage.

    Parameters
    ----------
    model, clouds, cert, tries
        As for `first_flips`.
    """
    import numpy as np

    from stablerank.certify import observe_stages
    from stablerank.exceptions import InvalidInputError

    rows = np.flatnonzero(_can_move(cert))
    if not len(rows):
        raise InvalidInputError("no cloud has a positive radius, so none is moved")
    own = np.searchsorted(model.classes_, cert.label[rows])
    rival = np.searchsorted(model.classes_, cert.rival[rows])
    best: list[Any] = [clouds[i] for i in rows]
    least = np.full(len(rows), np.inf)
    for attempt in range(tries):
        moved = _moves(model, clouds, cert, rows, (1.0, attempt))
        logits = model.program_.evaluate(model.extractor_.transform(moved))
        count = np.arange(len(rows))
        margin = logits[count, own] - logits[count, rival]
        for k in np.flatnonzero(margin < least):
            best[k], least[k] = moved[k], margin[k]
    clean = [clouds[i] for i in rows]
    sizes = [cert.threat.distance_up(a, b) for a, b in zip(clean, best, strict=True)]
    before, after = (model.extractor_.transform(x) for x in (clean, best))
    return observe_stages(
        model.program_,
        before,
        after,
        sizes,
        threat=cert.threat,
        bounds=model.extractor_.bounds(cert.threat, before),
    )


def _can_move(cert: Certificates) -> Any:
    import numpy as np

    return (cert.radius > 0) & np.isfinite(cert.radius)


def _moves(
    model: Any, clouds: list[Any], cert: Certificates, rows: Any, turn: Any
) -> list[Any]:
    """One move of each of these clouds; a turn is (size in radii, number of try)."""
    import numpy as np

    from stablerank import attack
    from stablerank.exceptions import InvalidInputError

    if cert.threat.on_diagrams:
        raise InvalidInputError(
            f"the {cert.threat} is about bars, and the moves tried are of points; "
            "leave out --moves, or choose a threat to points"
        )
    factor, attempt = turn
    extractor, target = model.extractor_, None
    ways: list[Any] = [attack.rigid_moves, attack.random_directions]
    if "critical" in extractor.get_params():
        target = attack.SampleTarget(model.program_, extractor)
        ways.insert(0, attack.gradient_steps)
    chosen = [np.asarray(clouds[i], np.float64) for i in rows]
    label = np.searchsorted(model.classes_, cert.label[rows])
    claim = attack.Claim(target, cert.threat, chosen, label, factor * cert.radius[rows])
    way = ways[attempt % len(ways)]
    moved = way(claim, np.random.default_rng(attempt))
    return [
        cert.threat.project(cloud, new, size)
        for (cloud, size), new in zip(claim, moved, strict=True)
    ]
