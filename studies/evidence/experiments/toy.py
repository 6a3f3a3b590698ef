"""Pattern-Guided IG's Fig. 2: who gives how much to the signal, and who to the distractor.

The network computes y = 1 - relu(1 - (x1 - x2)), whose input has the signal z in x1 and the same noise, the distractor,
in both; from z = 1 on it is on a plateau. A method should give x1 what is due to z, and x2 nothing.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from captum_ext.attr import PGIG, IntegratedGradients, PatternAttribution
from captum_ext.patterns import fit_patterns
from evidence.experiments import common

STEPS, RULE = 100, "riemann_right"  # the paper's code
PLATEAU = 1.005  # from z = 1 on no gradient is left, since the noise cancels in x1 - x2


def data() -> tuple[Tensor, Tensor]:
    """z, (400,), and the inputs (400, 2), as in the paper's code: numpy seed 42, noise of .3."""
    state = np.random.RandomState(42)
    z = np.arange(-2, 2, 0.01)
    noise = state.normal(0, 0.3, len(z))
    return torch.tensor(z), torch.tensor(np.stack([z + noise, noise], 1))


def network() -> nn.Sequential:
    """y = 1 - relu(1 - x1 + x2)."""
    model = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1)).double()
    weights = (torch.tensor([[-1.0, 1.0]]), torch.ones(1), -torch.ones(1, 1), torch.ones(1))
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.copy_(weight)
    return model


def explained() -> dict[str, Tensor]:
    """The attributions (400, 2) of each method, pattern methods under either convention of E[y]."""
    model, (_, x) = network(), data()
    found = {"ig": IntegratedGradients(model).attribute(x, n_steps=STEPS, method=RULE)}
    for mean in ("preactivation", "rectified"):
        patterns = fit_patterns(model, [x], mean=mean)
        found[f"patternattribution:{mean}"] = PatternAttribution(model, patterns).attribute(x)
        found[f"pgig:{mean}"] = PGIG(model, patterns).attribute(x, n_steps=STEPS, method=RULE)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    given = common.options(__doc__, photographs=False).parse_args(arguments)
    (z, x), found = data(), explained()
    columns = {"z": z, "x1": x[:, 0], "x2": x[:, 1]}
    for name, maps in found.items():
        columns |= {f"{name}:signal": maps[:, 0], f"{name}:distractor": maps[:, 1]}
    rows = [
        dict(zip(columns, map(common.short, values), strict=True))
        for values in zip(*(column.tolist() for column in columns.values()), strict=True)
    ]
    settings = {"steps": STEPS, "rule": RULE, "baseline": "zeros", "plateau": f"z > {PLATEAU}"}
    common.write(given.results, "toy", rows, settings)


if __name__ == "__main__":
    main()
