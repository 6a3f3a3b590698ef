"""Equations as MathML, made when the site is built: browsers draw it themselves, without scripts or a network."""

from __future__ import annotations

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def _converted(latex: str, display: str) -> str:
    try:
        math = convert(latex, display=display)
    except Exception as error:
        raise ExtensionError(f"No MathML for {latex!r}: {type(error).__name__}: {error}") from error
    if "\\" in math:  # what it does not know it leaves as it is
        raise ExtensionError(f"No MathML for {latex!r}: it knows no such command.")
    # A raised prime becomes a dot in most fonts, whose primes are raised already.
    prime = '<mo lspace="0" rspace="0">&#x02032;</mo>'
    math = re.sub(r"<msup>(<mi>.</mi>)<mi>&#x02032;</mi></msup>", rf"\1{prime}", math)
    return re.sub(r"<msubsup>(<mi>.</mi><mi>.</mi>)<mi>&#x02032;</mi></msubsup>", rf"<msub>\1</msub>{prime}", math)


def _inline(self, node: nodes.math) -> None:
    self.body.append(_converted(node.astext(), "inline"))
    raise nodes.SkipNode


def _block(self, node: nodes.math_block) -> None:
    self.body.append(f'<div class="equation">{_converted(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the renderer that ``html_math_renderer = "mathml"`` names."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
