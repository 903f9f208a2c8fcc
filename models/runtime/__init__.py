"""Running a network on a device: a ``Stage``, and an engine for each kind of device behind it."""
