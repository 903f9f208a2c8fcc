"""What can go wrong on a device, whichever engine runs it."""


class DeviceError(ValueError):
    """The device or the number format that was asked for is not available."""


class ConversionError(ValueError):
    """A network cannot be converted for the CPU engine, or gives other answers when converted."""


class NotFiniteError(ArithmeticError):
    """A network's answer contains NaN or infinity and must not be used."""


class OutOfMemoryError(MemoryError):
    """The device's memory does not hold the batch; a smaller one might fit."""


class DeviceFailure(RuntimeError):
    """The device can compute nothing more in this process."""
