"""Convert names of files and messages of models, with arbitrary characters, to text that can be stored or printed."""

from __future__ import annotations

import unicodedata

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
