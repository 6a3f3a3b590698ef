"""Attribution methods, drop-ins next to :class:`captum.attr.IntegratedGradients`."""

from captum_ext._engine.forward_args import SharedArgument
from captum_ext.attr.agi import AGI
from captum_ext.attr.blur_ig import BlurIG
from captum_ext.attr.conductance import LayerConductance, NeuronConductance
from captum_ext.attr.diagnostics import Diagnostics
from captum_ext.attr.dig import DIG
from captum_ext.attr.expected import Expected
from captum_ext.attr.expected_gradients import ExpectedGradients
from captum_ext.attr.guided_ig import GuidedIG
from captum_ext.attr.idg import IDG
from captum_ext.attr.idgi import IDGI
from captum_ext.attr.ig2 import IG2
from captum_ext.attr.igos import IGOS
from captum_ext.attr.integrated_gradients import IntegratedGradients
from captum_ext.attr.latent_ig import EIG, MAGIG
from captum_ext.attr.layer import LayerPathAttribution
from captum_ext.attr.layer_methods import LayerBlurIG, LayerGuidedIG, LayerIDGI, LayerIntegratedGradients
from captum_ext.attr.left_ig import LeftIG
from captum_ext.attr.mfaba import MFABA
from captum_ext.attr.neuron import NeuronPathAttribution
from captum_ext.attr.neuron_methods import NeuronBlurIG, NeuronGuidedIG, NeuronIDGI, NeuronIntegratedGradients
from captum_ext.attr.node_fitting import fit_nodes
from captum_ext.attr.one_at_a_time import OneAtATime
from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.attr.pattern import PatternAttribution, PatternNet
from captum_ext.attr.pgig import PGIG
from captum_ext.attr.samp import SAMP
from captum_ext.attr.smooth_taylor import SmoothTaylor
from captum_ext.attr.xrai import XRAI

__all__ = [
    "AGI",
    "DIG",
    "EIG",
    "IDG",
    "IDGI",
    "IG2",
    "IGOS",
    "MAGIG",
    "MFABA",
    "PGIG",
    "SAMP",
    "XRAI",
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
    "LeftIG",
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
    "SmoothTaylor",
    "fit_nodes",
]
