"""Pictures of text: tokens colored by their attributions, as HTML or with matplotlib."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from captum_ext._utils.numbers import is_number
from captum_ext.visualization.frame import NORMAL, SMALL, panels, set_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TokenScores: TypeAlias = ArrayLike | Mapping[str, ArrayLike]

_FOR, _AGAINST = (202, 0, 32), (5, 113, 176)  # told apart with red-green blindness too
_STRONGEST = 0.75  # opacity, so that black letters stay readable
_SPACES = ("Ġ", "▁", " ")
_INKS = {"Ċ": "↵", "ĉ": "⇥", "\n": "↵", "\t": "⇥"}
_CHARACTER, _LINE, _GAP = 0.62 * NORMAL, 1.75 * NORMAL, 0.9 * NORMAL  # points


class TextHtml(str):
    """HTML that notebooks show: a string with ``_repr_html_``."""

    def _repr_html_(self) -> str:
        return str(self)


class _Token(NamedTuple):
    shown: str
    starts_word: bool


class _Row(NamedTuple):
    name: str
    scores: NDArray[Any]  # (T,)
    scale: float  # the score with the strongest color


def text_html(
    tokens: Sequence[str], attributions: TokenScores, *, title: str = "", shared_scale: bool = False
) -> TextHtml:
    """Color tokens by their attributions, as HTML: red speaks for the output, blue against it.

    Args:
        tokens: The tokens, as ``tokenizer.convert_ids_to_tokens`` returns them, or decoded one by one. ``Ġ``, ``▁`` or
            a space starts a word, ``##`` continues one.
        attributions: One number per token, (T,), or a dictionary of names and such numbers, one row each: methods,
            or contrasts such as ``{"is rather than are": ..., "is rather than was": ...}``.
        title: A line above. Default: none.
        shared_scale: Whether all rows have the same scale. Default: each row its own. The largest magnitude of the
            scale is written at the end of the row.

    Returns:
        A fragment of HTML without scripts, which a notebook shows. Pointing at a token shows its number.

    Raises:
        ValueError: If there is not one finite number per token.

    Example:
        >>> from captum_ext.visualization.text import text_html
        >>> picture = text_html(["not", "bad"], {"IG": [0.4, -0.2]})
        >>> "not" in picture and "rgba(5,113,176,0.38)" in picture
        True
    """
    shown, rows = _read_tokens(tokens), _rows(len(tokens), attributions, shared_scale)
    lines = [f'<div style="font-weight:bold;margin-bottom:4px">{html.escape(title)}</div>'] if title else []
    lines.append('<table style="border-collapse:collapse;border:none">')
    for row in rows:
        cells: list[str] = []
        for token, score in zip(shown, row.scores.tolist(), strict=True):
            gap = " " if token.starts_word and cells else ""
            style = f"background:rgba{_color(score, row.scale)};border-radius:3px;padding:1px 2px".replace(" ", "")
            words = html.escape(token.shown)
            cells.append(f'{gap}<span style="{style}" title="{words}: {score:+.4g}">{words}</span>')
        name = f'<td style="{_NAME}">{html.escape(row.name)}</td>' if row.name else ""
        scale = f'<td style="{_SCALE}">&plusmn;{row.scale:.3g}</td>'
        lines.append(f'<tr style="background:none">{name}<td style="{_TEXT}">{"".join(cells)}</td>{scale}</tr>')
    lines.append("</table>")
    return TextHtml(f'<div style="{_BOX}">{"".join(lines)}</div>')


_BOX = "background:#fff;color:#111;font-family:sans-serif;font-size:14px;padding:6px;overflow-x:auto"
_NAME = "text-align:right;vertical-align:top;padding:3px 10px 3px 0;white-space:nowrap;color:#555;border:none"
_TEXT = "text-align:left;line-height:1.7;padding:3px 0;border:none"
_SCALE = "text-align:right;vertical-align:top;padding:3px 0 3px 10px;color:#888;font-size:12px;border:none"


def draw_text(
    tokens: Sequence[str], attributions: TokenScores, *, title: str = "", shared_scale: bool = False, width: float = 7.5
) -> Figure:
    """Color tokens by their attributions, with matplotlib: red speaks for the output, blue against it.

    Args:
        tokens: As for :func:`text_html`, and so are the arguments that follow.
        attributions: As for :func:`text_html`.
        title: As for :func:`text_html`.
        shared_scale: As for :func:`text_html`.
        width: The figure's width in inches; lines wrap. Default: 7.5.

    Returns:
        The figure; write it with ``savefig``, or :func:`captum_ext.visualization.png`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is not one finite number per token, or the width leaves no room.

    Example:
        >>> from captum_ext.visualization.text import draw_text
        >>> figure = draw_text(["not", "bad"], {"IG": [0.4, -0.2], "IDGI": [0.1, 0.1]}, title="log-odds 0.2")
    """
    shown, rows = _read_tokens(tokens), _rows(len(tokens), attributions, shared_scale)
    left = max((len(row.name) for row in rows), default=0) * _CHARACTER + (_CHARACTER if rows[0].name else 0)
    right = 72 * width - 7 * _CHARACTER
    if right - left < 20 * _CHARACTER:
        raise ValueError(f"width: {width} inches leave no room for text beside the names of rows. Use more.")
    places, lines = _layout(shown, left, right)
    height = len(rows) * (lines * _LINE + _GAP) + (2.5 * NORMAL if title else 0)
    figure, grid = panels(1, 1, (width, height / 72), for_images=True)
    panel = grid[0, 0]
    panel.set(xlim=(0, 72 * width), ylim=(len(rows) * (lines * _LINE + _GAP), 0))
    if title:
        set_title(figure, title)
    for k, row in enumerate(rows):
        top = k * (lines * _LINE + _GAP)
        note = {"va": "center", "parse_math": False}
        panel.text(left - _CHARACTER, top + _LINE / 2, row.name, ha="right", fontsize=SMALL, color="0.3", **note)
        end = top + (lines - 0.5) * _LINE
        panel.text(72 * width, end, f"±{row.scale:.3g}", ha="right", fontsize=SMALL - 1, color="0.5", **note)
        for token, score, (x, line) in zip(shown, row.scores.tolist(), places, strict=True):
            *rgb, opacity = _color(score, row.scale)
            size = len(token.shown) * _CHARACTER
            y = top + (line + 0.5) * _LINE
            panel.barh(y, size, 0.8 * _LINE, x, color=[channel / 255 for channel in rgb], alpha=opacity, linewidth=0)
            middle = x + size / 2
            panel.text(middle, y, token.shown, ha="center", fontsize=NORMAL, family="monospace", **note)
    return figure


def _layout(tokens: list[_Token], left: float, right: float) -> tuple[list[tuple[float, int]], int]:
    """The left end and the line of each token, and the number of lines."""
    places: list[tuple[float, int]] = []
    x, line = left, 0
    for token in tokens:
        size = len(token.shown) * _CHARACTER
        if token.starts_word and x > left:
            x += _CHARACTER
        if x + size > right and x > left:
            x, line = left, line + 1
        places.append((x, line))
        x += size
    return places, line + 1


def _rows(count: int, attributions: TokenScores, shared_scale: bool) -> list[_Row]:
    named = attributions if isinstance(attributions, Mapping) else {"": attributions}
    if not named:
        raise ValueError("attributions: expected at least one row, got none.")
    scores = {name: _scores_of_tokens(name, values, count) for name, values in named.items()}
    scales = {name: float(np.abs(values).max(initial=0)) for name, values in scores.items()}
    largest = max(scales.values())
    return [_Row(name, values, largest if shared_scale else scales[name]) for name, values in scores.items()]


def _scores_of_tokens(name: str, values: Any, count: int) -> NDArray[Any]:
    array = np.asarray(values.detach().cpu().double() if hasattr(values, "detach") else values, dtype=np.float64)
    if array.shape != (count,):
        raise ValueError(
            f"attributions{f'[{name!r}]' if name else ''}: expected one number for each of {count} tokens, got shape "
            f"{array.shape}. Sum over the embedding's coordinates, as TextInputs.by_token does, and choose one text."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"attributions{f'[{name!r}]' if name else ''}: expected finite numbers, got NaN or infinity.")
    return array


def _color(score: float, scale: float) -> tuple[int, int, int, float]:
    """Red, green, blue and opacity."""
    strength = abs(score) / scale if scale else 0.0
    return (*(_FOR if score > 0 else _AGAINST), round(_STRONGEST * strength, 2))


def _read_tokens(tokens: Sequence[str]) -> list[_Token]:
    """The tokens as they are shown, and which of them start a word."""
    for token in tokens:
        if not isinstance(token, str):
            kind = "numbers; write tokenizer.convert_ids_to_tokens(ids)" if is_number(token) else type(token).__name__
            raise TypeError(f"tokens: expected strings, got {kind}.")
    marks_spaces = any(token.startswith(_SPACES) for token in tokens)
    shown = []
    for token in tokens:
        starts = token.startswith(_SPACES) if marks_spaces else not token.startswith("##")
        bare = token[1:] if token.startswith(_SPACES) else token.removeprefix("##")
        for code, ink in _INKS.items():
            bare = bare.replace(code, ink)
        shown.append(_Token(bare or "␣", starts))
    return shown
