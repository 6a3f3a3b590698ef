"""Attribution methods, drop-ins next to :class:`captum.attr.IntegratedGradients`."""

from captum_ext._engine.forward_args import SharedArgument
from captum_ext.attr.blur_ig import BlurIG
from captum_ext.attr.conductance import LayerConductance, NeuronConductance
from captum_ext.attr.diagnostics import Diagnostics
from captum_ext.attr.dig import DIG
from captum_ext.attr.expected import Expected
from captum_ext.attr.expected_gradients import ExpectedGradients
from captum_ext.attr.guided_ig import GuidedIG
from captum_ext.attr.idgi import IDGI
from captum_ext.attr.integrated_gradients import IntegratedGradients
from captum_ext.attr.layer import LayerPathAttribution
from captum_ext.attr.layer_methods import LayerBlurIG, LayerGuidedIG, LayerIDGI, LayerIntegratedGradients
from captum_ext.attr.neuron import NeuronPathAttribution
from captum_ext.attr.neuron_methods import NeuronBlurIG, NeuronGuidedIG, NeuronIDGI, NeuronIntegratedGradients
from captum_ext.attr.one_at_a_time import OneAtATime
from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.attr.pattern import PatternAttribution, PatternNet
from captum_ext.attr.pgig import PGIG

__all__ = [
    "DIG",
    "IDGI",
    "PGIG",
    "BlurIG",
    "Diagnostics",
    "Expected",
    "ExpectedGradients",
    "GuidedIG",
    "IntegratedGradients",
    "LayerBlurIG",
    "LayerConductance",
    "LayerGuidedIG",
    "LayerIDGI",
    "LayerIntegratedGradients",
    "LayerPathAttribution",
    "NeuronBlurIG",
    "NeuronConductance",
    "NeuronGuidedIG",
    "NeuronIDGI",
    "NeuronIntegratedGradients",
    "NeuronPathAttribution",
    "OneAtATime",
    "PathAttribution",
    "PatternAttribution",
    "PatternNet",
    "SharedArgument",
]
