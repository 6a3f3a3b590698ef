"""The site: it builds without warnings or a network, and a browser shows all of it."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = {"desktop": 1280, "phone": 390}
NOWHERE = "http://127.0.0.1:9"  # a proxy that refuses everything

pytestmark = pytest.mark.slow
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as ``make docs`` builds it, without a network."""
    output = tmp_path_factory.mktemp("site")
    proxies = {f"{scheme}_proxy": NOWHERE for scheme in ("http", "https", "HTTP", "HTTPS")}
    build = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "-q", "-b", "html"]
    result = subprocess.run(
        [*build, str(ROOT / "docs"), str(output)],
        env={**os.environ, **proxies, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return output


def pages(site):
    return sorted(str(path.relative_to(site)) for path in site.rglob("*.html") if "_static" not in path.parts)


@pytest.fixture(scope="module")
def address(site):
    """Where a server of this test shows the site."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(params=WIDTHS)
def view(request, browser, address):
    """A page of this width, and all that went wrong in it: errors, requests that failed or left the host."""
    context = browser.new_context(viewport={"width": WIDTHS[request.param], "height": 900})
    page = context.new_page()
    wrong = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda asked: None if "ABORTED" in asked.failure else wrong.append(f"failed: {asked.url}"))
    page.on("request", lambda asked: None if asked.url.startswith((address, "data:")) else wrong.append(asked.url))
    page.on("response", lambda got: wrong.append(f"{got.status}: {got.url}") if got.status >= 400 else None)
    yield page, wrong
    context.close()


@in_a_browser
def test_every_page_loads_and_fits(view, site, address):
    page, wrong = view
    width = page.viewport_size["width"]
    seen = pages(site)
    assert len(seen) > 30
    for name in seen:
        page.goto(address + name, wait_until="load")
        assert wrong == [], name
        assert page.title(), name
        # Nothing is wider than the screen: what is wide scrolls by itself.
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        broken = page.evaluate("[...document.images].filter(i => !(i.complete && i.naturalWidth > 1)).map(i => i.src)")
        assert broken == [], name


@in_a_browser
def test_equations_are_drawn(view, site, address):
    page, wrong = view
    count = 0
    for name in pages(site):
        if "<math" not in (site / name).read_text():
            continue
        page.goto(address + name)
        boxes = page.evaluate(
            "[...document.querySelectorAll('article math')].map(m => [m.getBoundingClientRect().width,"
            " m.getBoundingClientRect().height, m.textContent])"
        )
        for box_width, box_height, text in boxes:
            assert box_width > 3, (name, text)
            assert box_height > 5, (name, text)
            assert "\\" not in text, (name, text)
            count += 1
        # A fraction is drawn as one: numerator over denominator.
        for above, below in page.evaluate(
            "[...document.querySelectorAll('article mfrac')].map(f => [f.children[0].getBoundingClientRect().bottom,"
            " f.children[1].getBoundingClientRect().top])"
        ):
            assert above <= below + 1, name
    assert count > 50
    assert wrong == []


@in_a_browser
def test_the_navigation_leads_to_a_method(view, address):
    page, wrong = view
    page.goto(address + "index.html")
    link = page.locator(".sidebar-tree a", has_text=re.compile("^IDGI$"))
    if page.viewport_size["width"] < 1000:
        assert not link.is_visible() or link.bounding_box()["x"] < 0
        page.locator("label[for=__navigation]").filter(visible=True).first.click()
        page.wait_for_timeout(500)
    link.click()
    page.wait_for_url("**/methods/idgi.html")
    assert page.locator("h1").inner_text().startswith("IDGI")
    assert wrong == []


@in_a_browser
def test_the_search_finds_a_method_and_an_argument(view, address):
    page, wrong = view
    for words, expected in (("chaotic guided", "methods/guided_ig.html"), ("internal_batch_size", "running.html")):
        page.goto(address + "index.html")
        if page.viewport_size["width"] < 1000:
            page.locator("label[for=__navigation]").filter(visible=True).first.click()
            page.wait_for_timeout(500)
        page.locator(".sidebar-search").fill(words)
        page.locator(".sidebar-search").press("Enter")
        page.wait_for_selector("ul.search li a")
        page.wait_for_timeout(500)
        found = page.evaluate("[...document.querySelectorAll('ul.search li a')].map(a => a.href)")
        assert any(expected in link for link in found), (words, found)
    assert wrong == []


@in_a_browser
def test_no_code_of_a_written_page_is_wider_than_its_column(browser, site, address):
    """The pages of the API, the notebooks and the generated pages have lines that are written elsewhere."""
    page = browser.new_page(viewport={"width": WIDTHS["desktop"], "height": 900})
    elsewhere = ("api/", "tutorials/", "evidence/", "contributing", "changelog")
    checked = 0
    for name in pages(site):
        if name.startswith(elsewhere):
            continue
        page.goto(address + name)
        widths = page.evaluate(
            "[...document.querySelectorAll('article .highlight pre')].map(e => [e.scrollWidth, e.clientWidth])"
        )
        assert all(inner <= outer + 1 for inner, outer in widths), name
        checked += len(widths)
    page.close()
    assert checked > 50


SEARCHES = {
    "heatmap": {"visualize"},
    "tabular": {"howto/table"},
    "video": {"howto/video"},
    "audio": {"howto/video"},
    "transformers": {"text", "howto/text"},
    "GPU": {"gpu"},
    "BatchNorm error": {"howto/batchnorm_pgig", "faq"},
    "segmentation": {"howto/detection_segmentation"},
    "slow": {"running"},
    "ViT": {"howto/photograph"},
}


def node_executable():
    """The Node that is installed, or the one in playwright's driver; None without either."""
    if installed := shutil.which("node"):
        return installed
    try:
        from playwright._impl._driver import compute_driver_executable
    except ImportError:
        return None
    return str(compute_driver_executable()[0])


def test_the_search_finds_the_right_page_first_or_second(site):
    node = node_executable()
    if node is None:
        pytest.skip("no Node: install node or playwright")
    script = str(ROOT / "tests" / "search.js")
    answer = subprocess.run([node, script, str(site), *SEARCHES], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    found = {
        query: list(dict.fromkeys(names)) for query, names in zip(SEARCHES, json.loads(answer.stdout), strict=True)
    }
    missed = {query: found[query][:4] for query, pages in SEARCHES.items() if not pages & set(found[query][:2])}
    assert missed == {}


class _Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.targets, self.anchors = [], {""}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors.update(filter(None, (given.get("id"), given.get("name") if tag == "a" else None)))
        self.targets.extend(filter(None, (given.get("href"), given.get("src"))))


def test_internal_links_lead_somewhere(site):
    links = {name: _Links((site / name).read_text()) for name in pages(site)}
    checked = 0
    for name, found in links.items():
        for target in found.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or name == "search.html":
                continue
            to = (site / name).parent / unquote(parts.path) if parts.path else site / name
            assert to.exists(), f"{name} links to {target}"
            relative = os.path.relpath(to, site)
            if parts.fragment and relative in links:
                assert unquote(parts.fragment) in links[relative].anchors, f"{name} links to {target}"
            checked += 1
    assert checked > 1000


def test_every_method_page_has_a_figure_that_opens_in_full(site):
    for page in (ROOT / "docs" / "methods").glob("*.md"):
        if page.stem != "index":
            html = (site / "methods" / f"{page.stem}.html").read_text()
            assert re.search(r'<a [^>]*href="\.\./_images/\w+\.webp"[^>]*>\s*<img', html), page


def test_no_figure_is_empty(site):
    pictures = [path for path in (site / "_images").iterdir() if path.suffix in (".png", ".webp", ".jpg")]
    assert len(pictures) > 20
    for path in pictures:
        pixels = np.asarray(Image.open(path).convert("L"), dtype=float)
        assert pixels.std() > 10, path
        assert (pixels < 250).mean() > 0.02, path
    drawn = {path.stem for path in (ROOT / "docs" / "figures").glob("[a-z]*.py")}
    assert drawn <= {path.stem for path in pictures}, "a figure that no page shows"


def test_without_the_demo_extra_the_build_fails_and_says_so(tmp_path):
    nothing = shutil.ignore_patterns("_build", "built")
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=nothing)
    for name in ("captum_ext", "tutorials"):
        (tmp_path / name).symlink_to(ROOT / name)
    missing = tmp_path / "missing" / "skimage"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text("raise ImportError('no skimage')")
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(tmp_path / "docs"), str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": f"{missing.parent}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert "pip install 'captum_ext[docs]'" in result.stderr


def test_tex_becomes_mathml_or_an_error(monkeypatch):
    from sphinx.errors import ExtensionError

    monkeypatch.syspath_prepend(ROOT / "docs" / "_ext")
    from mathml import _converted

    assert "<mfrac><mrow><mn>1</mn></mrow><mrow><mn>2</mn></mrow></mfrac>" in _converted(r"\frac{1}{2}", "block")
    for prime in ("x'", "x'_i"):
        assert "<msup>" not in _converted(prime, "inline")
        assert "<msubsup>" not in _converted(prime, "inline")
    with pytest.raises(ExtensionError, match="knows no such command"):
        _converted(r"\fracc{1}{2}", "inline")


def test_the_citation_has_the_packages_version():
    from captum_ext import __version__

    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
