"""Memory that benchmarks read from the kernel."""

import subprocess
import sys

import numpy as np

from benchmarks.memory import peak_megabytes, resident_megabytes

CHILD = "from benchmarks.memory import peak_megabytes; print(peak_megabytes())"


def test_a_peak_outlasts_its_memory_and_is_not_passed_on_to_other_processes():
    numbers = np.ones(2**26)
    del numbers
    assert peak_megabytes() > 512
    assert resident_megabytes() < peak_megabytes()
    done = subprocess.run([sys.executable, "-c", CHILD], check=True, capture_output=True, text=True)
    assert 0 < float(done.stdout) < 200
