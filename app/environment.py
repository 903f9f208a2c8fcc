"""How a process that is to serve is set up before torch is loaded; to be imported first.

Nothing that is loaded becomes garbage, and walking it again and again takes a tenth of the start: the collector rests
until ``Service`` has set aside what is loaded.
"""

import gc
import os
from typing import Final

SPIN_TURNS: Final = "40000"
"""How long a thread of GNU's OpenMP waits awake for the others of its team: half a millisecond.

Longer than any layer keeps it waiting, so no layer pays for waking it. The library's own 300,000 turns are some 4 ms,
in which it holds a processor after each batch that the host work then goes without.
"""

gc.disable()

if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = SPIN_TURNS
