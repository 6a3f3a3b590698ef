"""Every method of the library over one model, for the conformance grid."""

from __future__ import annotations

from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients, PathAttribution
from captum_ext.paths import BlurPath, GuidedPath
from captum_ext.quadratures import WeightedSum

METHODS = {
    "IG": IntegratedGradients,
    "IG, local": lambda f: IntegratedGradients(f, multiply_by_inputs=False),
    "IG, trapezoid": lambda f: PathAttribution(f, quadrature=WeightedSum("riemann_trapezoid")),
    "IDGI": IDGI,
    "Blur IG": lambda f: BlurIG(f, max_sigma=3.0),
    "Blur IG + IDGI": lambda f: IDGI(f, BlurPath(max_sigma=3.0, padding_mode="reflect")),
    "Guided IG": lambda f: GuidedIG(f, max_dist=0.3),
    "Guided IG + IDGI": lambda f: IDGI(f, GuidedPath(fraction=0.5, max_dist=1.0)),
}
TAKES_BASELINES = [name for name in METHODS if not name.startswith("Blur")]
COMPLETE = [name for name in METHODS if name != "IG, local"]
