"""Running a network on a device: a ``Stage``, and an engine for each kind of device behind it."""

import sys
from typing import Final

# OpenVINO tells its makers over the network that it was imported, and NNCF what was quantized, if they find this
# package, which pip installs with them. Without it both are silent.
_TELEMETRY: Final = "openvino_telemetry"
sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
