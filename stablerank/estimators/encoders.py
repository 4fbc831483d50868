"""Representations, and how those that are learned are trained along with a network.

The vector of a learned bank holds, for each rank of each function, the value of one
bar.  Which bar that is takes nearly all of the time to find out, and changes slowly:
values that move by h trade places only within 2 h of each other.  So the bars are
looked for again after each validation, and in between the functions are trained on
those that were found.  Validation, calibration and the frozen program always look.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from stablerank.bounds import Bound
from stablerank.diagrams import Diagrams
from stablerank.estimators.base import Features, bank_features, mixture_features
from stablerank.exceptions import InvalidInputError
from stablerank.frozen import BarInput, Diagonal
from stablerank.represent.bank import FixedBank
from stablerank.represent.base import ChannelBars, RankedBars, Representation
from stablerank.represent.learned import LearnableBank, learnable_bank

__all__ = [
    "BankEncoder",
    "RowEncoder",
    "bank_encoder",
    "check_representation",
    "represent",
    "scaled_rows",
]

#: Offsets of bar functions are learned in this share of the largest birth or death of
#: their channel: in one of all of it they move so fast that other bars take the ranks
#: before these are looked for again.
_SHARE = 0.1


def check_representation(name: str, norm: float) -> None:
    """Raise before the extraction where a representation has no bound in the norm."""
    if name == "mixture" and norm == 2:
        raise InvalidInputError(
            "representation 'mixture' (of preset='paper') with norm=2: contours and "
            "their network of l_inf-distance neurons are bounded in l_inf; choose "
            "another preset"
        )
    if name == "learned bank" and norm == 2:
        raise InvalidInputError(
            "representation='learned bank' with norm=2: in l_2 the functions share one "
            "constant, which training could raise; choose representation='bank'"
        )


def represent(
    name: str,
    diagrams: Diagrams,
    bounds: Mapping[str, Sequence[Bound]],
    norm: float = math.inf,
    tail_p: float = math.inf,
) -> tuple[Features, RowEncoder | None]:
    """Features before training, and what trains the representation, if it is learned.

    Parameters
    ----------
    name : {"bank", "learned bank", "mixture"}
        As in `Preset`.
    diagrams : Diagrams
        Training diagrams.
    bounds : mapping from channel to sequence of Bound
        Under the threat that sets the scale of training.
    norm : float
        In which the features are bounded: inf or 2.
    tail_p : float
        Order of the tails of a mixture.
    """
    if name == "mixture":
        vectors, features = mixture_features(diagrams, bounds, tail_p)
        return features, RowEncoder(vectors, diagrams)
    bank, features = bank_features(diagrams, np.arange(len(diagrams)), bounds, norm)
    if name == "bank":
        return features, None
    return features, bank_encoder(bank, features.inputs, diagrams)


def bank_encoder(
    bank: FixedBank, inputs: Sequence[BarInput], diagrams: Diagrams
) -> BankEncoder:
    """Encoder by a learnable bank that starts as the given one, for these inputs."""
    units = {i.channel: _SHARE * max(abs(i.low), abs(i.high)) or 1.0 for i in inputs}
    return BankEncoder(learnable_bank(bank, units), diagrams)


class RowEncoder(nn.Module):
    """Vectors of some samples of a batch of diagrams, by a trainable representation.

    Parameters
    ----------
    representation : Representation
        Trained along with the network that reads it.
    diagrams : Diagrams
        All samples.
    """

    def __init__(self, representation: Representation, diagrams: Diagrams) -> None:
        super().__init__()
        self.representation = representation
        self.diagrams = diagrams

    def forward(self, rows: Tensor) -> Tensor:
        """Vectors (n, n_features) of the samples with these numbers."""
        chosen = self.diagrams[rows.cpu().numpy()]
        vectors: Tensor = self.representation(
            chosen.to_torch(rows.device, torch.float32)
        )
        return vectors

    def digest(self) -> bytes:
        """Digest of all bars that training sees."""
        own = self.diagrams.compact()
        sha = hashlib.sha256(repr(own.channels).encode())
        for array in (own.bars, own.offsets):
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.digest()


def scaled_rows(
    x: Tensor, encoder: RowEncoder | None, scaling: Diagonal
) -> Callable[[Tensor], Tensor]:
    """From sample numbers to the inputs of a network.

    Parameters
    ----------
    x : Tensor of shape (n, n_features)
        Features, scaled already; their device and dtype are those of the inputs.
    encoder : RowEncoder, optional
        Gives the features in their place.
    scaling : Diagonal
        Scales what the encoder gives.
    """
    if encoder is None:
        return lambda rows: x[rows]
    scale, shift = (torch.tensor(a).to(x) for a in (scaling.scale, scaling.shift))
    return lambda rows: encoder(rows) * scale + shift


class BankEncoder(RowEncoder):
    """The same by a bank, which in training mode reads the bars that it last found.

    Switching from evaluation to training, as `training.fit` does after a validation,
    forgets them.  A checkpoint is written there too: a run that is resumed from it
    finds the bars that an uninterrupted one would.

    Parameters
    ----------
    bank : LearnableBank
        Trained along with the network that reads it.
    diagrams : Diagrams
        All samples.
    """

    is_known: Tensor

    def __init__(self, bank: LearnableBank, diagrams: Diagrams) -> None:
        super().__init__(bank, diagrams)
        known = torch.zeros(len(diagrams), dtype=torch.bool)
        self.register_buffer("is_known", known, persistent=False)
        self._bars: dict[str, ChannelBars] = {}
        self._kept: RankedBars | None = None

    @property
    def bank(self) -> LearnableBank:
        """The representation."""
        assert isinstance(self.representation, LearnableBank)
        return self.representation

    def train(self, mode: bool = True) -> BankEncoder:
        """Switch the mode; what was found before is forgotten."""
        if mode and not self.training:
            self.is_known.zero_()
        super().train(mode)
        return self

    def forward(self, rows: Tensor) -> Tensor:
        """Vectors (n, n_features) of the samples with these numbers."""
        if not self.training:
            return self.bank.read(self._find(rows))
        new = rows[~self.is_known[rows]]
        if len(new):
            self._keep(new, self._find(new))
        assert self._kept is not None
        return self.bank.read(RankedBars(*(ends[rows] for ends in self._kept)))

    def _find(self, rows: Tensor) -> RankedBars:
        if not self._bars:
            packed = self.diagrams.to_torch(rows.device, torch.float32)
            self._bars = {
                name: ChannelBars.of(packed, name, torch.float32)
                for name in self.bank.channels
            }
        with torch.no_grad():
            own = {name: bars.take(rows) for name, bars in self._bars.items()}
            return self.bank.pick(own)

    def _keep(self, rows: Tensor, found: RankedBars) -> None:
        if self._kept is None:
            shape = (len(self.is_known), found.births.shape[1])
            self._kept = RankedBars(*(ends.new_zeros(shape) for ends in found))
        for ends, own in zip(self._kept, found, strict=True):
            ends[rows] = own
        self.is_known[rows] = True
