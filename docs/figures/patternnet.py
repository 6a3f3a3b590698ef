"""The two-dimensional example of the PatternNet paper: a signal, a distractor, a weight and a pattern."""

import torch
from matplotlib.figure import Figure

from captum_ext.patterns import fit_patterns


def draw() -> Figure:
    """The data, the weight that reads the signal off them, and the pattern that fit_patterns finds."""
    generator = torch.Generator().manual_seed(0)
    y, noise = torch.randn(2, 400, 1, generator=generator)
    x = y * torch.tensor([[1.0, 0.0]]) + noise * torch.tensor([[1.0, 1.0]])
    unit = torch.nn.Linear(2, 1, bias=False)
    unit.weight.data = torch.tensor([[1.0, -1.0]])
    pattern = fit_patterns(unit, [x], estimator="linear")[""][0]
    figure = Figure(figsize=(5.0, 4.4), layout="constrained")
    panel = figure.add_subplot()
    dots = panel.scatter(*x.T, c=y[:, 0], s=9, cmap="coolwarm")
    figure.colorbar(dots, shrink=0.7, label="the signal y, which is also the output")
    for arrow, color, name in (
        ((1.0, -1.0), "black", "weight w = (1, -1)"),
        (pattern.tolist(), "tab:green", f"pattern a = ({pattern[0]:.2f}, {pattern[1]:.2f})"),
        ((1.0, 1.0), "tab:orange", "distractor d = (1, 1)"),
    ):
        panel.annotate("", (2 * arrow[0], 2 * arrow[1]), (0, 0), arrowprops={"color": color, "width": 2})
        panel.plot([], [], color=color, linewidth=3, label=name)
    panel.legend(fontsize=10, loc="upper left")
    panel.set_aspect("equal")
    panel.set_xlabel("$x_1$")
    panel.set_ylabel("$x_2$")
    return figure
