"""The command line, one module per subject; ``arguments`` has what they share."""
