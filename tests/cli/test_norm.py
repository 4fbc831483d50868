"""`fit --norm 2`: the l_2 road from the command line."""

from __future__ import annotations

import numpy as np

from stablerank.cli import main
from tests.estimators.problems import rings_and_blobs


def test_a_model_in_l2_is_fitted_and_certifies_a_budget(tmp_path, capsys) -> None:
    clouds, y = rings_and_blobs(16)
    arrays = {f"c{i}": cloud for i, cloud in enumerate(clouds)}
    np.savez(tmp_path / "data.npz", labels=y, **arrays)
    data, out = str(tmp_path / "data.npz"), str(tmp_path / "model")
    fit = ["fit", data, "--out", out, "--epochs", "4", "--n-jobs", "1", "--norm"]
    assert main([*fit, "2"]) == 0
    assert main(["info", out]) == 0
    assert "Budget()" in capsys.readouterr().out
    assert main(["certify", out, data, "--n-jobs", "1"]) == 0
    assert "l_2 budget of all displacements" in capsys.readouterr().out
    assert main([*fit, "1"]) == 2
    assert "--norm is 2 or inf" in capsys.readouterr().err
