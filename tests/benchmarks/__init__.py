"""What scanning costs, as ratios within one run: ``python -m tests.benchmarks [--small]``.

Each module but the helpers (`figures`, `models`, `command`) is one benchmark and runs by itself as well.
"""

import os

# As in a worker of the fan-out, and before numpy is imported: one thread a process.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
