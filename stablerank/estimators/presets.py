"""What a user chooses between: how much clean accuracy to trade for radius.

Offsets are radii wanted, in units of the margin scale of the data (see
`learning.margin_unit`), so one preset serves any data set.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stablerank.training import Schedule

__all__ = ["PRESETS", "REPRESENTATIONS", "Preset"]

#: Fixed functions of bars, the same trained along with the network, learned contours.
REPRESENTATIONS = ("bank", "learned bank", "mixture")


@dataclass(frozen=True)
class Preset:
    """Loss and schedule of a preset.

    Parameters
    ----------
    offsets : tuple of float
        Wanted radii in margin units.
    temperature : float
        Of the offset cross-entropy, per margin unit.
    exponents : tuple of float
        Generalised cross-entropy, one an offset.
    schedule : Schedule
        Epochs, rate, batches.
    representation : {"bank", "learned bank", "mixture"}
        What is read of diagrams; see `REPRESENTATIONS`.
    network : str, optional
        In place of the estimator's.
    """

    offsets: tuple[float, ...]
    temperature: float
    exponents: tuple[float, ...]
    schedule: Schedule = field(default_factory=Schedule)
    representation: str = "bank"
    network: str | None = None


#: On ORBIT5K 100 epochs were no better than 60 (two splits) but for clean accuracy.
_SCHEDULE = Schedule(epochs=60)

PRESETS = {
    #: A learned bank certifies about one per cent more, and trains three times as long:
    #: an option, `representation="learned bank"`.
    "balanced": Preset((0.0, 0.5, 1.0, 2.0, 3.0), 4.0, (0.0,) * 5, _SCHEDULE),
    "robust": Preset(
        (0.0, 0.5, 1.5, 3.0, 4.5), 3.0, (0.0, 0.2, 0.2, 0.3, 0.3), _SCHEDULE
    ),
    "accurate": Preset(
        (0.1,), 20.0, (0.0,), Schedule(epochs=100, validate_every=8), "learned bank"
    ),
    #: The Stable Rank Network as it was proposed: learned contours, their inverse
    #: stable ranks, a network of l_inf-distance neurons.
    "paper": Preset(
        (0.0, 0.5, 1.0, 2.0, 3.0),
        4.0,
        (0.0,) * 5,
        Schedule(epochs=40, learning_rate=2e-2),
        representation="mixture",
        network="distance",
    ),
}
