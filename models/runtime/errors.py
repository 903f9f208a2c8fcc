"""What can go wrong on a device, whichever engine runs it."""


class DeviceError(ValueError):
    """The device or the number format that was asked for is not there."""


class ConversionError(ValueError):
    """A network cannot be brought into the CPU engine's form, or answers otherwise in it."""


class NotFiniteError(ArithmeticError):
    """A network answered with something that is not a number: nothing may be concluded from it."""


class OutOfMemoryError(MemoryError):
    """The device's memory does not hold the batch; a smaller one might fit."""


class DeviceFailure(RuntimeError):
    """The device computes nothing more in this process."""
