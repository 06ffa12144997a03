"""What the statistics do not bring along."""

import subprocess
import sys

ROLES = "import axon.app.roles.serving, axon.app.roles.scheduler, axon.statistics, sys"
HEAVY = "print(sorted({'numpy', 'scipy', 'pandas', 'statsmodels'} & set(sys.modules)))"


def test_no_process_of_ours_loads_numpy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{ROLES}; {HEAVY}"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
