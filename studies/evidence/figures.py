"""The page's figures, each drawn from stored results; ``None`` where these are missing."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from captum_ext import visualization
from captum_ext.evaluation import Estimate, band
from captum_ext.visualization import COLORS, draw_band, legend, method_styles, set_title
from evidence.claims import degradation, guided, idgi, randomization, toy
from evidence.claims import paths as blur_path
from evidence.claims import steps as stepped
from evidence.decisions import CONTRADICTED, NO_EFFECT, REPRODUCED, UNRESOLVED, Decision, of_claim
from evidence.papers import SIX
from evidence.stored import Column, FloatArray, Stored, over_images
from evidence.summary import table_of_methods
from evidence.words import MODELS, label

_WIDTH = 8.0  # inches; shown at 800 pixels, 9 points are 12.5 of them
_SHADES = colormaps["Blues"]
_MARKERS = ("o", "s", "^")
_SHOWN = ("pgig", "patternattribution", "ig", "random")  # in color among the eleven
_VERDICTS = {REPRODUCED: COLORS[2], CONTRADICTED: COLORS[1], NO_EFFECT: COLORS[0], UNRESOLVED: "0.45"}

Draw = Callable[[Stored], Figure | None]
FIGURES: dict[str, Draw] = {}


def _figure(name: str, *needed: str) -> Callable[[Callable[[Stored, list[str]], Figure]], Draw]:
    """Register what draws a figure from those of the needed runs and experiments that there are, if any are."""

    def register(draw: Callable[[Stored, list[str]], Figure]) -> Draw:
        def draw_if_possible(stored: Stored) -> Figure | None:
            present = [of for of in needed if stored.frame(of) is not None]
            return draw(stored, present) if present else None

        FIGURES[name] = draw_if_possible
        return draw_if_possible

    return register


def _panels(rows: int, columns: int, height: float, **more: Any) -> tuple[Figure, Any]:
    return visualization.panels(rows, columns, (_WIDTH, height), **more)


def _lines(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A legend of methods."""
    return {style.label: style.line for style in method_styles(methods).values()}


def _others(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A legend of models, paths or protocols."""
    return {
        name: {"color": color, "marker": marker, "markersize": 4, "linewidth": 1.4}
        for name, color, marker in zip(names, COLORS, _MARKERS, strict=False)
    }


def _label(panel: Any, title: str, xlabel: str) -> None:
    set_title(panel, title)
    panel.set_xlabel(xlabel)


def _array(estimates: Sequence[Estimate]) -> FloatArray:
    array: FloatArray = np.array([[of.low, of.value, of.high] for of in estimates]).T
    return array


def overview(stored: Stored) -> Figure | None:
    """Methods down and questions across; a darker cell is better than the others of its column."""
    columns = table_of_methods(stored)
    if not columns:
        return None
    methods = visualization.sorted_methods({method for column in columns for method in column.values})
    figure, panels = visualization.panels(1, 1, (9.2, 0.26 * len(methods) + 0.9))
    panel = panels[0, 0]
    for x, column in enumerate(columns):
        numbers = np.array([column.better * estimate.value for estimate in column.values.values()])
        low, span = numbers.min(), np.ptp(numbers) or 1.0
        for method, number in zip(column.values, numbers, strict=True):
            shade, y = (number - low) / span, methods.index(method)
            panel.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, color=_SHADES(0.05 + 0.85 * shade), linewidth=0))
            color = "white" if shade > 0.55 else "black"
            panel.text(x, y, column.short(method), ha="center", va="center", color=color, fontsize=visualization.SMALL)
    visualization.name_rows(panel, [label(method) for method in methods])
    panel.set_xlim(-0.5, len(columns) - 0.5)
    panel.set_xticks(range(len(columns)), [column.title for column in columns], fontsize=visualization.SMALL)
    panel.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    return figure


def forest(stored: Stored, claims: Sequence[str]) -> Figure | None:
    """The primaries that judge some claims: a panel a measure, Holm-adjusted intervals, the margin in gray."""
    judged: dict[Decision, str] = {}
    measures: dict[str, list[tuple[str, Decision]]] = {}
    for name in claims:
        for decision in of_claim(stored, name):
            if judged.setdefault(decision, name) == name:
                measures.setdefault(decision.primary.measure, []).append((name, decision))
    if not measures:
        return None
    sizes = [len(some) + 1.6 for some in measures.values()]
    figure, panels = _panels(len(sizes), 1, 0.24 * sum(sizes) + 0.4)
    panels[0, 0].get_gridspec().set_height_ratios(sizes)
    for panel, (measure, some) in zip(panels[:, 0], measures.items(), strict=True):
        bound, margin = some[0][1].primary.bound, some[0][1].primary.margin
        panel.axvspan(bound - margin, bound + margin, color="0.9", linewidth=0)
        panel.axvline(bound, color="0.3", linewidth=1)
        for y, (claim, decision) in enumerate(some):
            visualization.draw_interval(
                panel, decision.adjusted, y, color=_VERDICTS[decision.verdict(claim)], marker="o"
            )
        visualization.name_rows(panel, [decision.primary.pair for _, decision in some])
        set_title(panel, measure)
    legend(figure, {word: {"color": color, "marker": "o"} for word, color in _VERDICTS.items()}, len(_VERDICTS))
    return figure


@_figure("insertion-curves", *idgi.RUNS)
def insertion_curves(stored: Stored, runs: list[str]) -> Figure:
    """The probability of the target as pixels are put in, by either ranking, on the first model that there is."""
    figure, panels = _panels(1, 2, 3.6, sharey=True)
    methods = [*SIX, "random"]
    for panel, ranking in zip(panels[0], ("signed", "absolute"), strict=True):
        for method, style in method_styles(methods).items():
            sample = stored.sample(Column(runs[0], method, "insertion", ranking))
            if sample is not None and sample.curves is not None:
                x = np.linspace(0, 1, sample.curves.shape[1])
                draw_band(panel, x, band(sample.curves), **{**style.line, "markersize": 4}, markevery=4)
        _label(panel, f"{MODELS[runs[0]]}, {ranking} ranking", "share of the pixels inserted")
    panels[0, 0].set_ylabel("probability of the target")
    legend(figure, _lines(methods), 4)
    return figure


@_figure("degradation", *degradation.RUNS)
def degradation_curves(stored: Stored, runs: list[str]) -> Figure:
    """A panel a network, by the paper's protocol: PGIG, its parents and random in color, the others gray."""
    figure, panels = _panels(1, len(runs), 3.3)
    for panel, run in zip(panels[0], runs, strict=True):
        for method in [*(m for m in degradation.ELEVEN if m not in _SHOWN), *reversed(_SHOWN)]:
            _relative_curve(panel, stored, run, method)
        _label(panel, MODELS[run], "patches replaced")
    panels[0, 0].set_ylabel("mean probability, over the start's")
    legend(figure, {**_lines(_SHOWN), "the seven others": {"color": "0.75"}}, len(_SHOWN) + 1)
    return figure


def _relative_curve(panel: Any, stored: Stored, run: str, method: str) -> None:
    """The mean curve over its start: images that start high are not what the band is about."""
    sample = stored.sample(degradation.column(run, method, "paper"))
    if sample is None or sample.curves is None:
        return
    points, settings = sample.curves.shape[1], stored.settings(run)
    x = np.minimum(np.arange(points) * settings.get("patches_per_point", 1), settings.get("n_patches", points - 1))
    if method in _SHOWN:
        lines = band(sample.curves, transform=lambda lines: lines / lines[:, :1])
        line = {**method_styles([method])[method].line, "markersize": 4}
        draw_band(panel, x, lines, **line, markevery=max(1, points // 6))
    else:
        mean = sample.curves.mean(0)
        panel.plot(x, mean / mean[0], color="0.75", linewidth=1)


@_figure("guided", guided.NAME)
def guided_noise(stored: Stored, runs: list[str]) -> Figure:
    """The median distance by what was changed."""
    figure, ((panel,),) = _panels(1, 1, 3.6)
    changes = [change for change in guided.CHANGES if change != "repeated"]
    for k, (method, style) in enumerate(method_styles(guided.METHODS).items()):
        values = {x: guided.distance(stored, method, change) for x, change in enumerate(changes)}
        present = {x + 0.12 * (k - 1.5): value for x, value in values.items() if value}
        lines = np.maximum(_array(list(present.values())), guided.LEAST)
        panel.vlines(list(present), lines[0], lines[2], color=style.color, linewidth=1.4)
        panel.plot(list(present), lines[1], **{**style.line, "linestyle": ""})
    panel.set_yscale("log")
    panel.set_xticks(
        range(len(changes)),
        [guided.CHANGES[change].replace(" instead", "\ninstead").replace("' ", "'\n") for change in changes],
    )
    panel.set_ylabel("distance over the map's norm")
    legend(figure, _lines(guided.METHODS), len(guided.METHODS))
    return figure


@_figure("paths", blur_path.NAME)
def paths(stored: Stored, runs: list[str]) -> Figure:
    """The way done along the paths: a panel for the image's way and one for F's."""
    rows = stored.frame(blur_path.NAME)
    figure, panels = _panels(1, 2, 3.4, sharey=True)
    styles = _others(blur_path.PATHS)
    for panel, column in zip(panels[0], ("image_share", "variation_share"), strict=True):
        for path, style in styles.items():
            wide = rows[rows["path"] == path].pivot_table(index="image", columns="tenth", values=column)
            done = np.concatenate([np.zeros((len(wide), 1)), wide.to_numpy().cumsum(1)], 1)
            draw_band(panel, np.linspace(0, 1, done.shape[1]), band(done, "median"), **style)
        _label(panel, blur_path.SHARES[column], "from the path's start (0) to the image (1)")
    panels[0, 0].set_ylabel("share done")
    legend(figure, styles, len(styles))
    return figure


@_figure("randomization", randomization.NAME)
def randomized(stored: Stored, runs: list[str]) -> Figure:
    """What is left of the maps as a network forgets: a panel a network, lines over the layers."""
    networks = [network for network in randomization.NETWORKS if randomization.layers(stored, network)]
    figure, panels = _panels(1, len(networks), 3.8, sharey=True)
    for panel, network in zip(panels[0], networks, strict=True):
        layers = randomization.layers(stored, network)
        panel.axhline(0, color="0.3", linewidth=1)
        for method, style in method_styles(randomization.METHODS).items():
            for kind in randomization.kinds(method):
                left = randomization.by_image(stored, network, method, kind, "absolute")
                line = {**style.line, "linestyle": ":"} if kind == "anew" else style.line
                lines = _array([over_images(left[layer]) for layer in layers])
                draw_band(panel, range(1, len(layers) + 1), lines, alpha=0.12, **line)
        set_title(panel, randomization.NETWORKS[network])
        is_cascade = len(layers) > 2
        panel.set_xticks(range(1, len(layers) + 1), None if is_cascade else layers)
        panel.margins(x=0.05 if is_cascade else 0.3)
        panel.set_xlabel("layers made random" if is_cascade else "made random")
    panels[0, 0].set_ylabel("rank correlation")
    legend(figure, _lines(randomization.METHODS), 3)
    return figure


@_figure("steps", stepped.RUN)
def steps(stored: Stored, runs: list[str]) -> Figure:
    """Scores over the number of steps: a panel a score."""
    shown = [score for score in stepped.SCORES if stored.run(stepped.RUN) and _stepped(stored, "ig", score)]
    figure, panels = _panels(1, len(shown), 3.0)
    for panel, score in zip(panels.flat, shown, strict=False):
        for method, style in method_styles(stepped.METHODS).items():
            values = _stepped(stored, method, score)
            if len(values) > 1:
                draw_band(panel, list(values), _array(list(values.values())), alpha=0.12, **style.line)
        panel.set_xscale("log", base=2)
        panel.set_xticks(stepped.STEPS, [str(count) for count in stepped.STEPS])
        panel.minorticks_off()
        _label(panel, stepped.SCORES[score], "steps")
    legend(figure, _lines(stepped.METHODS), len(stepped.METHODS))
    return figure


def _stepped(stored: Stored, method: str, score: tuple[str, str]) -> dict[int, Estimate]:
    """By number of steps; of other photographs than the first, a point would move for that alone."""
    values = [stored.value(column) for column in stepped.at(method, score, *stepped.STEPS)]
    n = values[0].n if values[0] else 0
    return {count: of for count, of in zip(stepped.STEPS, values, strict=True) if of and of.n == n}


@_figure("toy", toy.NAME)
def stress_tests(stored: Stored, runs: list[str]) -> Figure:
    """Fig. 2 (d): attributions of the signal and of the distractor, a panel a method."""
    rows = stored.frame(toy.NAME)
    figure, panels = _panels(1, 3, 3.0, sharey=True)
    for panel, method in zip(panels[0], toy.METHODS, strict=True):
        panel.plot(rows["z"], np.minimum(rows["z"], 1), color="black", linewidth=1)
        for color, part in zip(COLORS, ("signal", "distractor"), strict=False):
            panel.plot(rows["z"], toy.column(rows, method, "preactivation", part), ".", color=color, markersize=2.5)
        _label(panel, label(method), "z; y is on its plateau from 1 on")
    panels[0, 0].set_ylabel("attribution")
    lines: dict[str, dict[str, Any]] = {
        "signal, x1": {"color": COLORS[0], "marker": ".", "linestyle": ""},
        "distractor, x2": {"color": COLORS[1], "marker": ".", "linestyle": ""},
        "y = 1 - relu(1 - z)": {"color": "black", "linewidth": 1},
    }
    legend(figure, lines, 3)
    return figure
