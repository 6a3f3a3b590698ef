"""Pictures of text: every token is there, in order, with the color of its number."""

import itertools
import re

import numpy as np
import pytest
import torch

from captum_ext.visualization.text import draw_text, text_html

TOKENS = ["[CLS]", "un", "##like", "##ly", "<b>&", "[SEP]"]
SCORES = [0.0, 1.0, -0.5, 0.25, -1.0, 0.0]


def spans(page):
    return re.findall(r"( ?)<span style=\"background:rgba\(([^)]*)\)[^>]*title=\"([^\"]*)\">([^<]*)</span>", page)


def test_html_has_each_token_once_per_row_with_its_color():
    page = text_html(TOKENS, {"IG": SCORES, "IDGI": torch.tensor(SCORES) * 3})
    found = spans(page)
    assert [text for *_, text in found] == ["[CLS]", "un", "like", "ly", "&lt;b&gt;&amp;", "[SEP]"] * 2
    assert [gap for gap, *_ in found[:6]] == ["", " ", "", "", " ", " "]
    assert [color for _, color, *_ in found[:4]] == [
        "5,113,176,0.0",
        "202,0,32,0.75",
        "5,113,176,0.38",
        "202,0,32,0.19",
    ]
    assert [color for _, color, *_ in found[6:]] == [color for _, color, *_ in found[:6]]  # each row its own scale
    assert "un: +1" in page
    assert "±".encode() not in page.encode()
    assert "&plusmn;3" in page
    assert page._repr_html_() == page


def test_a_shared_scale_shows_that_one_row_is_weaker():
    page = text_html(TOKENS, {"a": SCORES, "b": np.array(SCORES) / 10}, shared_scale=True, title="<i>")
    colors = [color for _, color, *_ in spans(page)]
    assert colors[7] == "202,0,32,0.08"
    assert page.count("&plusmn;1<") == 2
    assert "&lt;i&gt;" in page


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["The", "Ġkeys", "Ġto", "Ċ"], ["The", " keys", " to", "↵"]),
        (["▁The", "▁key", "s"], ["The", " key", "s"]),
        (["The", " keys", "."], ["The", " keys", "."]),
        (["The", "keys"], ["The", " keys"]),
        (["Ġ", "a"], ["␣", "a"]),
    ],
)
def test_spaces_are_those_of_the_tokenizer(tokens, words):
    assert [gap + text for gap, *_, text in spans(text_html(tokens, [0.0] * len(tokens)))] == words


def test_the_figure_has_the_same_tokens_and_wraps_long_lines():
    tokens = [f"Ġword{k}" for k in range(60)]
    scores = np.linspace(-1, 1, 60)
    figure = draw_text(tokens, {"IG": scores, "why $x$ rather than y": scores}, title="A $title$")
    (panel,) = figure.axes
    texts = [text.get_text() for text in panel.texts]
    assert [text for text in texts if text.startswith("word")] == [f"word{k}" for k in range(60)] * 2
    assert "why $x$ rather than y" in texts
    bars = panel.patches
    assert len(bars) == 120
    right = panel.get_xlim()[1]
    assert all(bar.get_x() >= 0 and bar.get_x() + bar.get_width() <= right for bar in bars)
    boxes = [(round(bar.get_y(), 3), bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars]
    boxes.sort()
    for (y, _, end), (other, begin, _) in itertools.pairwise(boxes):
        assert y != other or begin >= end  # none overlaps another
    assert len({y for y, *_ in boxes}) > 4
    assert bars[0].get_facecolor()[2] > bars[0].get_facecolor()[0]  # blue speaks against
    assert bars[59].get_facecolor()[0] > bars[59].get_facecolor()[2]
    figure.canvas.draw()


def test_zeros_are_white():
    page = text_html(["a", "b"], [0.0, 0.0])
    assert [color.rsplit(",", 1)[1] for _, color, *_ in spans(page)] == ["0.0", "0.0"]
    draw_text(["a"], [0.0])


@pytest.mark.parametrize("draw", [text_html, draw_text])
@pytest.mark.parametrize(
    ("tokens", "scores", "kind", "message"),
    [
        (["a", "b"], [0.1], ValueError, "one number for each of 2 tokens"),
        (["a", "b"], {"IG": np.zeros((2, 3))}, ValueError, r"attributions\['IG'\].*by_token"),
        (["a", "b"], {"IG": [np.nan, 0]}, ValueError, "finite"),
        (["a", "b"], {}, ValueError, "at least one row"),
        ([3, 4], [0.1, 0.2], TypeError, "convert_ids_to_tokens"),
    ],
)
def test_mistakes(draw, tokens, scores, kind, message):
    with pytest.raises(kind, match=message):
        draw(tokens, scores)


def test_a_narrow_figure_is_refused():
    with pytest.raises(ValueError, match="width"):
        draw_text(["a"], {"a very long name of a method indeed": [0.1]}, width=2)
