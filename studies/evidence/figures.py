"""The page's figures, each drawn from stored results; ``None`` where these are missing."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from captum_ext import visualization
from captum_ext.evaluation import Estimate, band
from captum_ext.visualization import COLORS, draw_band, draw_interval, legend, method_styles, name_rows, set_title
from evidence.claims import degradation, guided, idgi, randomization, stability, stepped, toy
from evidence.claims import paths as blur_path
from evidence.papers import BASES, SIX
from evidence.papers import idgi as with_idgi
from evidence.stored import Column, FloatArray, Stored
from evidence.words import MODELS, label

_WIDTH = 8.0  # inches; shown at 800 pixels, 9 points are 12.5 of them
_MARKERS = ("o", "s", "^")
_SHOWN = ("pgig", "patternattribution", "ig", "random")  # in color among the eleven
_LEAST = 1e-8  # maps that are equal bit for bit lie here, below everything


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


def _zero(draw: Callable[..., Any]) -> None:
    draw(0, color="0.3", linewidth=1)


def _array(estimates: Sequence[Estimate]) -> FloatArray:
    array: FloatArray = np.array([[of.low, of.value, of.high] for of in estimates]).T
    return array


def _dots(panel: Any, stored: Stored, columns: dict[str, Column]) -> None:
    """Values and intervals, method by method."""
    styles = method_styles(columns)
    for y, (method, column) in enumerate(columns.items()):
        value = stored.value(column)
        if value is not None:
            draw_interval(panel, value, y, **styles[method].line)
    name_rows(panel, [styles[method].label for method in columns])


@_figure("insertion", *idgi.RUNS)
def insertion(stored: Stored, runs: list[str]) -> Figure:
    """Every method's insertion area, rankings down and models across."""
    figure, panels = _panels(2, len(runs), 5.2, sharex=True, sharey=True)
    for line, ranking in zip(panels, ("signed", "absolute"), strict=True):
        for panel, run in zip(line, runs, strict=True):
            _dots(panel, stored, {m: Column(run, m, "insertion", ranking) for m in [*SIX, "random"]})
            set_title(panel, f"{MODELS[run]}, {ranking} ranking")
    for panel in panels[-1]:
        panel.set_xlabel("insertion, higher is better")
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


@_figure("idgi", *idgi.RUNS)
def added(stored: Stored, runs: list[str]) -> Figure:
    """What IDGI adds, scores down and bases across."""
    scores = [*idgi.INSERTION[:2], *idgi.SIZE, *idgi.STRUCTURE]
    figure, panels = _panels(1, len(BASES), 4.6, sharex=True, sharey=True)
    styles = _others([MODELS[run] for run in runs])
    for panel, base in zip(panels[0], BASES, strict=True):
        pairs = {run: [[of.column(run, m) for m in (with_idgi(base), base)] for of in scores] for run in runs}
        _differences(panel, stored, list(pairs.values()), list(styles.values()), 0.24)
        name_rows(panel, [f"{of.title}{' MS-SSIM' if of in idgi.STRUCTURE else ''}, {of.ranking}" for of in scores])
        _label(panel, f"{label(base)} + IDGI less {label(base)}", "right of 0: IDGI is better")
    legend(figure, styles, len(runs))
    return figure


def _differences(panel: Any, stored: Stored, pairs: list[list[list[Column]]], styles: list[Any], apart: float) -> None:
    """A row per pair of columns, with one difference for each style."""
    _zero(panel.axvline)
    for k, (rows, style) in enumerate(zip(pairs, styles, strict=True)):
        for y, pair in enumerate(rows):
            change = stored.difference(*pair)
            if change is not None:
                draw_interval(panel, change, y + apart * (k - (len(pairs) - 1) / 2), **{**style, "markersize": 5})


@_figure("degradation", *degradation.RUNS)
def degradation_curves(stored: Stored, runs: list[str]) -> Figure:
    """Models down and protocols across: PGIG, its parents and random in color, the others gray."""
    figure, panels = _panels(len(runs), 2, 2.5 * len(runs) + 0.6, sharey="row")
    for line, run in zip(panels, runs, strict=True):
        for panel, protocol in zip(line, degradation.PROTOCOLS, strict=True):
            for method in [*(m for m in degradation.ELEVEN if m not in _SHOWN), *reversed(_SHOWN)]:
                _relative_curve(panel, stored, run, method, protocol)
            set_title(panel, f"{MODELS[run]}, protocol {protocol}")
        line[0].set_ylabel("mean probability, over the start's")
    for panel in panels[-1]:
        panel.set_xlabel("patches replaced")
    legend(figure, {**_lines(_SHOWN), "the seven others": {"color": "0.75"}}, len(_SHOWN) + 1)
    return figure


def _relative_curve(panel: Any, stored: Stored, run: str, method: str, protocol: str) -> None:
    """The mean curve over its start: images that start high are not what the band is about."""
    sample = stored.sample(degradation.column(run, method, protocol))
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


@_figure("degradation-pgig", *degradation.RUNS)
def degradation_pgig(stored: Stored, runs: list[str]) -> Figure:
    """PGIG's area less each other's."""
    rivals = [method for method in degradation.ELEVEN if method != "pgig"]
    figure, panels = _panels(1, len(runs), 4.0, sharey=True)
    styles = _others([f"protocol {protocol}" for protocol in degradation.PROTOCOLS])
    for panel, run in zip(panels[0], runs, strict=True):
        pairs = [
            [[degradation.column(run, method, protocol) for method in ("pgig", rival)] for rival in rivals]
            for protocol in degradation.PROTOCOLS
        ]
        _differences(panel, stored, pairs, list(styles.values()), 0.26)
        name_rows(panel, [label(rival) for rival in rivals])
        set_title(panel, MODELS[run])
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.set_xlabel("left of 0: PGIG is steeper")
    legend(figure, styles, 2)
    return figure


@_figure("guided", guided.NAME)
def guided_noise(stored: Stored, runs: list[str]) -> Figure:
    """The median distance by noise at the left, by batch shape and threads at the right."""
    figure, ((noise, others),) = _panels(1, 2, 3.3, sharey=True)
    rounding = ("alone", guided.THREADS)
    for k, (method, style) in enumerate(method_styles(guided.METHODS).items()):
        for panel, changes in ((noise, guided.NOISES), (others, rounding)):
            values = {x: guided.distance(stored, method, change) for x, change in enumerate(changes)}
            present = {x: value for x, value in values.items() if value}
            if not present:
                continue
            lines = np.maximum(_array(list(present.values())), _LEAST)
            if panel is noise:
                draw_band(panel, list(present), lines, **style.line)
            else:
                x = np.array(list(present)) + 0.12 * (k - 1.5)
                panel.vlines(x, lines[0], lines[2], color=style.color, linewidth=1.4)
                panel.plot(x, lines[1], **{**style.line, "linestyle": ""})
    noise.set_yscale("log")
    noise.set_xticks(range(len(guided.NOISES)), [f"1e-{int(name[-2:])}" for name in guided.NOISES])
    noise.set_xlabel("relative noise in the gradients")
    noise.set_ylabel("distance of the maps, relative")
    others.set_xticks(
        range(len(rounding)), [guided.CHANGES[name].replace(" instead", "\ninstead") for name in rounding]
    )
    others.set_xlim(-0.5, len(rounding) - 0.5)
    set_title(noise, "noise")
    set_title(others, "rounding only")
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
        _zero(panel.axhline)
        for method, style in method_styles(randomization.METHODS).items():
            for kind in randomization.kinds(method):
                similarity = [
                    randomization.similarity(stored, network, method, kind, layer, "absolute") for layer in layers
                ]
                present = {x: value for x, value in enumerate(similarity, 1) if value}
                if present:
                    line = {**style.line, "linestyle": ":"} if kind == "anew" else style.line
                    draw_band(panel, list(present), _array(list(present.values())), alpha=0.12, **line)
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
    across = min(3, len(shown))
    down = -(-len(shown) // across)
    figure, panels = _panels(down, across, 2.5 * down + 0.5, count=len(shown))
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


@_figure("stability", stability.RUN)
def stable(stored: Stored, runs: list[str]) -> Figure:
    """Table 5 by three normalisations."""
    figure, panels = _panels(1, 3, 2.9, sharey=True)
    for panel, (variant, title) in zip(panels[0], stability.NORMALISATIONS.items(), strict=True):
        _dots(panel, stored, {method: stability.column(method, variant) for method in SIX})
        name, _, unit = title.partition(" (")
        _label(panel, f"by {name}" if unit else title, unit.rstrip(")") or "Spearman's")
    return figure


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
