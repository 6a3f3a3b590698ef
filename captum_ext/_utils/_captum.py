"""All imports of private Captum functions."""

from captum._utils.common import (
    _expand_additional_forward_args as expand_additional_forward_args,
)
from captum._utils.common import _expand_target as expand_target
from captum._utils.common import _format_additional_forward_args as format_additional_forward_args
from captum._utils.common import _run_forward as run_forward
from captum._utils.common import _select_targets as select_targets
from captum._utils.common import _verify_select_neuron as select_neuron
from captum._utils.progress import NullProgress, progress

__all__ = [
    "NullProgress",
    "expand_additional_forward_args",
    "expand_target",
    "format_additional_forward_args",
    "progress",
    "run_forward",
    "select_neuron",
    "select_targets",
]
