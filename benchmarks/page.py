"""docs/benchmark.md and its plots from what ``python -m benchmarks`` wrote: ``python -m benchmarks.page``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from benchmarks import fewer, plots
from benchmarks.common import table
from benchmarks.contenders import BARE
from benchmarks.figures import Entry, Figure, Results, Wanted, a_point, entries, overhead, ratio, read, summary, wanted
from benchmarks.timing import CAPTUM_POINTS

_HERE = Path(__file__).parent


def page(results: Results, by_photograph: Mapping[str, fewer.Photograph] = MappingProxyType({})) -> str:
    """The page, every number of it from the results."""
    about = {**_settings(results), "most": CAPTUM_POINTS}
    parts = [_HEAD, _machine(results), "## What was asked for\n", _wanted(wanted(results))]
    if "centre" in results or "paths" in results:
        parts += [
            "## Against every peer\n",
            _COMPARED.format(**about),
            _plot("times"),
            _words(results),
            _centre(results),
        ]
    if "axes" in results:
        parts += ["## One thing at a time\n", _AXES.format(**about), _plot("axes"), _axes(results)]
    if "rows" in results:
        parts += ["## The default batch\n", _ROWS, _rows(results)]
    if by_photograph:
        parts += ["## Fewer gradients\n", _FEWER, _plot("fewer"), fewer.report(by_photograph)]
    if "memory" in results:
        parts += ["## Memory\n", _MEMORY, _plot("memory")]
    if "allocator" in results:
        parts += ["## Memory that is kept\n", _ALLOCATOR, _allocator(results)]
    if "guard" in results:
        parts += ["## The guard of the model\n", _GUARD, _guard(results)]
    if "patterns" in results:
        parts += ["## Patterns\n", _patterns(results)]
    if "metrics" in results:
        parts += ["## Metrics\n", _metrics(results)]
    return "\n".join(parts)


def _plot(name: str) -> str:
    return f"![{name}](images/benchmark-{name}.png)\n"


_BUSY = 0.2  # processors that others used, on average
_HEAD = """# Benchmark

*Made by `python -m benchmarks.page` from `benchmarks/results/`, which `make bench` measures; not written by hand.*

Ratios are medians over rounds. A round runs every contender of a comparison once, the next one in reverse, and a ratio
compares two times of the same round, so a drift of the machine meets both. In brackets: the lowest and the highest
round, and the number of rounds. Where these are far apart, the machine was busy and the median is worth less.
"""
_COMPARED = """EfficientNet-Lite0 with ImageNet's weights, softmax of the predicted class, photographs of 224 x 224,
default settings of each library. The bare loop is a forward and backward pass of all images a step, and nothing
else. Times are per image and step. PAIR and IDGI's published formula take one image after another, and are asked for
{few} of the photographs; the bare loop and zennit take one pass a step, and are asked for {short} steps at most.
Captum runs all its points at once and keeps about 80 MB for each, so it is asked for {short} steps of all photographs,
and all steps of {few}.
"""
_AXES = """Integrated Gradients; EfficientNet-Lite0 unless it says VGG-11 (random weights: only its time counts). Each
axis leaves the centre in one respect, but is shorter than it, to keep the run short: 4 steps along the photographs'
axis, 1 photograph along the steps', 2 steps along the others (VGG-11: {few} photographs). Captum is left out where it
would need more than {most} points at once. Lines: medians; bars: all rounds.
"""
_ROWS = """Integrated Gradients of the same points with `internal_batch_size` left out and at fixed sizes: is the
default, which follows from the inputs' size alone and so gives the same sums on every run, as fast as the best size?
"""
_FEWER = """Photographs of a folder by `python -m benchmarks.adaptive --images FOLDER`, one after the other; softmax of
the predicted class. The map's error is the relative L2 distance to that of 2,048 steps of the trapezoid rule (IDGI: of
its own trapezoid rule); of Blur IG, for which even these are too coarse, to that of 2,048 Gauss-Legendre points. `auto`
is `n_steps="auto"` as it refines, up to 512 gradients; it makes no forward passes without a gradient. A fixed rule's
needed gradients are those from which on its error stays within the bound. In the plot a curve has at each number of
gradients what can be had for at most so many; that of `auto` is flat where it has stopped, at its tolerance of .1 %
(IDGI: 5 %).
"""
_ALLOCATOR = """`captum_ext.memory.keep_freed_memory()` at the start of a process, or the variables
`MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=2147483647`, on Linux with glibc. A process each, in turn.
"""
_GUARD = """Before the first and after the last forward pass of a call, the model's buffers are copied, compared and put
back. The time of this over the time of one forward and backward pass, random weights, images of 224 x 224. The last
column has the same pass inside the guard over one without it.
"""
_MEMORY = """A process each: the highest resident memory of the call above what the process had with the network and the
photographs loaded. The labels say how many photographs and steps. PAIR takes one photograph at a time.
"""


def _settings(results: Results) -> dict[str, int]:
    settings = next(iter(results.values()))["settings"]
    return {name: settings[name] for name in ("few", "short")}


def _machine(results: Results) -> str:
    rows = []
    for name, part in results.items():
        facts = part["machine"]
        rows.append(
            [
                name,
                part["run"],
                facts["cpu"],
                str(facts["threads"]),
                f"{part['others']:.2f}",
                facts["date"],
                f"{part['took']} s",
            ]
        )
    head = table(["part", "run", "processor", "threads", "processors that others used", "date", "took"], rows)
    versions = {f"{name} {number}" for part in results.values() for name, number in part["machine"]["versions"].items()}
    busy = [name for name, part in results.items() if part["others"] >= _BUSY]
    note = (
        f"**Other work was running** during {', '.join(busy)} (on average {_BUSY} processors or more): their times, "
        "and with several threads their ratios too, may be far from those of an idle machine. Memory is not affected."
        if busy
        else "The machine was otherwise idle."
    )
    if quick := [name for name, part in results.items() if part["run"] == "quick"]:
        note += f" Of the short run (`--quick`), of few rounds and fewer steps than asked for: {', '.join(quick)}."
    return f"{head}\n\n{note} Versions: {', '.join(sorted(versions))}.\n"


def _wanted(rows: list[Wanted]) -> str:
    body = []
    for row in rows:
        sign = ">=" if row.at_least else "<="
        measured = f"**{_number(row.figure.median, row.style)}**{_spread(row.figure, row.style)}"
        told = "reached" if row.reached else "not reached"
        body.append([row.what, measured, f"{sign} {_number(row.limit, row.style)}", told])
    return table(["what", "measured", "wanted", ""], body) + "\n"


def _number(value: float, style: str) -> str:
    return {"faster": f"{value:.2f}x", "ratio": f"{value:.2f}", "share": f"{value:.1%}"}[style]


def _spread(figure: Figure, style: str = "ratio") -> str:
    if figure.rounds == 1:
        return " (1 round)"
    return f" ({_number(figure.low, style)} to {_number(figure.high, style)}, {figure.rounds} rounds)"


def _centre(results: Results) -> str:
    rows = []
    for entry in [*entries(results, "centre"), *entries(results, "paths")]:
        own = _own(entry)
        for name in entry["seconds"]:
            asked = f"{entry['points'][name]}"
            cost = summary(a_point(entry, name)).median
            against = "1" if name == own else f"{(found := ratio(entry, name, own)).median:.2f}{_spread(found)}"
            label = f"**{name}**" if name == own else name
            rows.append([label, asked, against, f"{cost:.0f}", f"{1000 / cost:.1f}"])
            if name in entry["inside gradients"]:
                rows[-1][0] += f" (own time {overhead(entry, name).median:.1%} of its gradients')"
    head = [
        "bold: this library, its time is 1",
        "images x steps asked for",
        "times as long",
        "ms a point",
        "points a second",
    ]
    return table(head, rows) + "\n"


def _words(results: Results) -> str:
    """The peers' ratios as sentences."""
    told = []
    for entry in [*entries(results, "centre"), *entries(results, "paths")]:
        own = _own(entry)
        for name in entry["seconds"]:
            peer = name.startswith(("Captum", "zennit", "PAIR")) or "formula" in name
            if peer or (name == BARE and own == "IG"):
                times = ratio(entry, name, own).median
                less = f"takes {times:.2f} times as long as" if times >= 1 else f"takes {1 - times:.0%} less time than"
                of = f"at {entry['images']} images x {entry['steps']} steps"
                told.append(f"- {name[0].upper()}{name[1:]} {less} this library's {own} {of}.")
    return "\n".join(told) + "\n"


def _own(entry: Entry) -> str:
    return next(name for name in ("IDGI", "Guided IG", "Blur IG", "IG") if name in entry["seconds"])


def _axes(results: Results) -> str:
    rows = []
    for entry in entries(results, "axes"):
        cells = []
        for name in (BARE, "zennit IG", "Captum IG"):
            cells.append(_against(entry, name) if name in entry["seconds"] else "does not fit")
        cost = summary(a_point(entry, "IG")).median
        rows.append([entry["axis"], str(entry["value"]), *cells, f"{cost:.0f}", f"{1000 / cost:.1f}"])
    head = [
        "axis",
        "at",
        "bare loop over ours",
        "zennit over ours",
        "Captum over ours",
        "ours, ms a point",
        "points a second",
    ]
    return table(head, rows) + "\n"


def _against(entry: Entry, name: str) -> str:
    found = ratio(entry, name, "IG")
    return f"{found.median:.2f}{_spread(found)}"


def _rows(results: Results) -> str:
    rows = []
    for entry in entries(results, "rows"):
        sizes = [name for name in entry["seconds"] if name != "None"]
        best = min(sizes, key=lambda name: ratio(entry, name, "None").median)
        slowest = max(sizes, key=lambda name: ratio(entry, name, "None").median)
        found, worst = ratio(entry, "None", best), ratio(entry, slowest, best)
        rows.append(
            [entry["network"], best, f"{found.median:.2f}{_spread(found)}", "<= 1.1", f"{slowest}: {worst.median:.2f}"]
        )
    return table(["network", "best fixed size", "the default over it", "wanted", "slowest size over it"], rows) + "\n"


def _allocator(results: Results) -> str:
    rows = []
    for entry in entries(results, "allocator"):
        found = ratio(entry, "kept", "usual")
        usual, kept = (summary(a_point(entry, name)).median for name in ("usual", "kept"))
        what = f"{entry['contender']}, {entry['images']} photographs x {entry['steps']} steps"
        rows.append([what, f"{usual:.0f}", f"{kept:.0f}", f"{found.median:.2f}{_spread(found)}"])
    return table(["what", "ms a point, usual", "ms a point, kept", "kept over usual"], rows) + "\n"


def _guard(results: Results) -> str:
    rows = []
    for entry in entries(results, "guard"):
        own = overhead(entry, "guarded")
        passes = zip(entry["inside gradients"]["guarded"], entry["seconds"]["bare"], strict=True)
        whole = summary([inside / bare for inside, bare in passes])
        what = f"{entry['network']}, {entry['images']} rows"
        rows.append([what, f"{own.median:.2%}{_spread(own, 'share')}", "<= 1%", f"{whole.median:.2f}{_spread(whole)}"])
    return table(["network", "guard over one pass", "wanted", "pass inside over bare pass"], rows) + "\n"


def _patterns(results: Results) -> str:
    rows = []
    for comparison, above, below, limit in (
        ("attribution", "PGIG", "IG", "<= 1.10"),
        ("fit", "fit", "forward", "<= 4"),
    ):
        for entry in entries(results, "patterns", comparison=comparison):
            found = ratio(entry, above, below)
            what = f"{above} over {below}, {entry['network']}, {entry['images']} photographs"
            rows.append([what, f"{found.median:.2f}{_spread(found)}", limit])
    for entry in entries(results, "patterns", comparison="memory"):
        rows.append([f"peak memory of a fit of {entry['batches']} batches of 8", f"{entry['megabytes']} MB", ""])
    return table(["what", "measured", "wanted"], rows) + "\n"


def _metrics(results: Results) -> str:
    rows = []
    for entry, limit in zip(entries(results, "metrics"), (">= 3x", ""), strict=False):
        found = ratio(entry, "PAIR", "ours")
        steps = f", {entry['steps']} steps" if "steps" in entry else ", without a model"
        rows.append([f"{entry['comparison']}{steps}", f"{found.median:.1f}x{_spread(found)}", limit])
    head = table(["one photograph", "faster than PAIR", "wanted"], rows)
    return (
        head
        + "\n\nPAIR has no insertion, deletion or IDGI: these are done by the published formulas, image by image.\n"
    )


def write(results: Results, docs: Path, by_photograph: Mapping[str, fewer.Photograph] = MappingProxyType({})) -> None:
    """Write the page and its plots."""
    images = docs / "images"
    images.mkdir(parents=True, exist_ok=True)
    plots.times(results, images / "benchmark-times.png")
    if "axes" in results:
        plots.axes(results, images / "benchmark-axes.png")
    if "memory" in results:
        plots.memory(results, images / "benchmark-memory.png")
    if by_photograph:
        plots.fewer(by_photograph, images / "benchmark-fewer.png")
    (docs / "benchmark.md").write_text(page(results, by_photograph))


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.page", description=__doc__)
    parser.add_argument("--results", type=Path, default=_HERE / "results")
    parser.add_argument("--docs", type=Path, default=_HERE.parent / "docs")
    options = parser.parse_args()
    results = read(options.results)
    if not results:
        parser.error(f"no results in {options.results}; run python -m benchmarks first")
    write(results, options.docs, fewer.read(options.results))
    print(_wanted(wanted(results)))


if __name__ == "__main__":
    main()
