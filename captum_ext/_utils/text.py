"""Convert names of files and messages of models, with arbitrary characters, to text that can be stored or printed."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

# Control and format characters, which move the cursor or reverse the text; surrogates; line and paragraph separators.
_HIDDEN = frozenset(["Cc", "Cf", "Cs", "Zl", "Zp"])


def as_unicode(name: str) -> str:
    r"""Replace the bytes of a file's name that are not UTF-8 by ``\udcXX``."""
    return name.encode("utf-8", "backslashreplace").decode()


def printable(text: str, encoding: str | None = None) -> str:
    r"""One line for a terminal. Control characters, and characters that the encoding lacks, become escapes.

    Example:
        >>> from captum_ext._utils.text import printable
        >>> printable("caf\u00e9\x1b[2J.png\n", "ascii")
        'caf\\xe9\\x1b[2J.png\\n'
    """
    escaped = (c.encode("unicode_escape").decode() if unicodedata.category(c) in _HIDDEN else c for c in text)
    encoding = encoding or "utf-8"
    return "".join(escaped).encode(encoding, "backslashreplace").decode(encoding)


def clip(text: str, length: int) -> str:
    """The text, or its first and last characters with an ellipsis between them, as the ends of names differ most.

    Example:
        >>> from captum_ext._utils.text import clip
        >>> clip("a_long_name_of_a_photograph_0001.jpg", 16)
        'a_long_…0001.jpg'
    """
    if len(text) <= length:
        return text
    end = length // 2
    return f"{text[: length - end - 1]}…{text[-end:]}"


def did_you_mean(text: str, names: Iterable[str], count: int = 3) -> str:
    """A question with the names that resemble the text, or nothing: those that contain it come first.

    Example:
        >>> from captum_ext._utils.text import did_you_mean
        >>> did_you_mean("labrador", ["Labrador retriever", "tabby"])
        ' Did you mean Labrador retriever?'
    """
    by_lower = {name.lower(): name for name in names}
    containing = [name for name in by_lower if text and text.lower() in name]
    near = [*containing, *difflib.get_close_matches(text.lower(), list(by_lower), n=count)]
    unique = list(dict.fromkeys(near))[:count]
    return f" Did you mean {', '.join(by_lower[name] for name in unique)}?" if unique else ""
