"""What holds for every test: how hard hypothesis tries, and no window opens.

Profiles: `dev` (the default) and `ci` (chosen where `CI` is set) try the same inputs
at every run, so that a red test is red for everybody; `nightly` draws new ones.
`HYPOTHESIS_PROFILE` picks one by name.  None has a deadline: time is measured in
`benchmarks/`, and a busy machine must not fail a theorem.
"""

from __future__ import annotations

import os
import signal

import torch
from hypothesis import HealthCheck, settings

# Before anything imports matplotlib, and inherited by the processes tests start.
os.environ["MPLBACKEND"] = "Agg"

# Test nets are small: more threads would only wait for each other.
torch.set_num_threads(1)

# A shell that runs the tests in the background ignores Ctrl-C; children would inherit
# that, and those that are interrupted on purpose would run to their end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "base",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
base = settings.get_profile("base")
settings.register_profile("dev", base, derandomize=True, max_examples=25)
settings.register_profile("ci", base, derandomize=True, max_examples=50)
settings.register_profile("nightly", base, derandomize=False, max_examples=1000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev")
)
