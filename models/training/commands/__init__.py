"""The command line, a module a subject; ``arguments`` has what they share."""
