"""The page ``index.html`` of ``captum-ext explain``: all maps in one file that needs nothing else."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

from captum_ext.cli.explanation import ImageExplanation
from captum_ext.visualization.pictures import LEGENDS, data_url, map_picture, photograph

_TEMPLATE = Path(__file__).parent / "templates" / "gallery.html"


def entry(explanation: ImageExplanation, file: str, style: str) -> dict[str, Any]:
    """An image and its maps as the page's script reads them; ``file`` is the figure of the image."""
    maps = [
        {
            "title": each.title,
            "caption": each.caption,
            "src": data_url(map_picture(explanation.pixels, each.pixels(), style)),
        }
        for each in explanation.maps
    ]
    return {
        "name": explanation.name,
        "category": explanation.category,
        "target": explanation.target,
        "probability": explanation.probability,
        "file": file,
        "src": data_url(photograph(explanation.pixels)),
        "maps": maps,
    }


def page(entries: list[dict[str, Any]], settings: str, style: str) -> str:
    """The page."""
    # A script element ends at "</", even inside a string.
    data = json.dumps(entries).replace("<", "\\u003c")
    values = {"SETTINGS": html.escape(settings), "LEGEND": html.escape(LEGENDS[style]), "DATA": data}
    return re.sub("@@([A-Z]+)@@", lambda match: values[match[1]], _TEMPLATE.read_text(encoding="utf-8"))
