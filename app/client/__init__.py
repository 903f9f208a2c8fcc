"""``cxr-score``: a folder of radiographs in, a table of scores out, over the service's HTTP API.

Imports nothing else from this project, so that it starts fast and runs without the networks' libraries.
"""
