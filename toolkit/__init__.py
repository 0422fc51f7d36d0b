"""Extension keypoints: convert, check, show and score the parts of a pose beyond the person.

The flat names below are the public interface. They load on first use, so that importing
the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.annotations import Annotations, Images, Predictions, Visibility
    from toolkit.checks import validate
    from toolkit.dataset import Card, Dataset
    from toolkit.errors import ToolkitError
    from toolkit.formats import read, read_predictions, write, write_predictions
    from toolkit.metrics import evaluate
    from toolkit.report import Finding, Report, Severity
    from toolkit.schema import Schema

__version__ = "0.1.0"

_HOME = {
    "Annotations": "toolkit.annotations",
    "Card": "toolkit.dataset",
    "Dataset": "toolkit.dataset",
    "Finding": "toolkit.report",
    "Images": "toolkit.annotations",
    "Predictions": "toolkit.annotations",
    "Report": "toolkit.report",
    "Schema": "toolkit.schema",
    "Severity": "toolkit.report",
    "ToolkitError": "toolkit.errors",
    "Visibility": "toolkit.annotations",
    "evaluate": "toolkit.metrics",
    "read": "toolkit.formats",
    "read_predictions": "toolkit.formats",
    "validate": "toolkit.checks",
    "write": "toolkit.formats",
    "write_predictions": "toolkit.formats",
}

__all__ = [
    "Annotations",
    "Card",
    "Dataset",
    "Finding",
    "Images",
    "Predictions",
    "Report",
    "Schema",
    "Severity",
    "ToolkitError",
    "Visibility",
    "__version__",
    "evaluate",
    "read",
    "read_predictions",
    "validate",
    "write",
    "write_predictions",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'toolkit' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)
