"""The workflow: two networks on one device, and the rules between and after them. Imports nothing of ``app``."""

from models.analysis import Analysis
from models.runtime.stage import Stage
from models.weights import default_weights
from models.workflow import Workflow

__all__ = ["Analysis", "Stage", "Workflow", "default_weights"]
