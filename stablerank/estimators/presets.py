"""What a user chooses between: how much clean accuracy to trade for radius.

Offsets are radii wanted, in units of the margin scale of the data (see
`learning.margin_unit`), so one preset serves any data set.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stablerank.training import Schedule

__all__ = ["PRESETS", "Preset"]


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
    """

    offsets: tuple[float, ...]
    temperature: float
    exponents: tuple[float, ...]
    schedule: Schedule = field(default_factory=Schedule)


PRESETS = {
    "balanced": Preset((0.0, 0.5, 1.0, 2.0, 3.0), 3.0, (0.0,) * 5),
    "robust": Preset((0.0, 1.0, 2.5, 5.0, 7.0), 1.5, (0.0, 0.2, 0.2, 0.3, 0.3)),
    "accurate": Preset((0.1,), 20.0, (0.0,)),
}
