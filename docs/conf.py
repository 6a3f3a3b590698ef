"""Sphinx configuration. Nothing here waits for the network: see _inventories/ for the links to other projects."""

import sys
from pathlib import Path

from captum_ext import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "captum_ext"
author = "The captum_ext developers"
copyright = "2026, the captum_ext developers"
release = __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
    "build_figures",
    "mathml",
    "notebooks",
]
exclude_patterns = ["_build", "_ext", "_inventories", "figures"]
nitpicky = True  # a reference that leads nowhere is a warning
nitpick_ignore = [
    ("py:class", "captum_ext.testing.subject.Subject"),
    ("py:class", "pd.DataFrame"),
    ("py:class", "torch.nn.modules.module.Module"),
]

html_theme = "furo"
html_title = f"captum_ext {release}"
html_favicon = "_static/icon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

nb_execution_mode = "off"  # the notebooks are committed with what they gave; tests/test_tutorials.py runs them
nb_merge_streams = True

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"

# The inventories are files of this tree, so a build neither waits for these sites nor warns without them.
intersphinx_mapping = {
    name: (url, str(HERE / "_inventories" / f"{name}.inv"))
    for name, url in {
        "captum": "https://captum.ai/api/",
        "numpy": "https://numpy.org/doc/stable/",
        "python": "https://docs.python.org/3/",
        "torch": "https://docs.pytorch.org/docs/stable/",
    }.items()
}
