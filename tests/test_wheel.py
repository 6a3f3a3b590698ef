"""The wheel, in an environment of its own, without the repository."""

import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """What ``make dist`` builds."""
    output = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(output), str(ROOT)], check=True, capture_output=True)
    return output


@pytest.fixture(scope="module")
def python(built, tmp_path_factory):
    """The Python of an empty environment with the wheel.

    Its dependencies are those of the environment that runs the tests, by a path file: copies of torch are gigabytes.
    Path files do not see through one another, so that captum_ext is the wheel's and not an editable installation. The
    workflow ``wheels`` installs the dependencies anew.
    """
    home = tmp_path_factory.mktemp("empty")
    venv.create(home, with_pip=True)
    folder = next(home.glob("lib/python*/site-packages"))
    (wheel,) = built.glob("*.whl")
    own = home / "bin" / "python"
    subprocess.run([str(own), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], check=True)
    (folder / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return own


def run(command, where):
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=where).stdout


def test_twine_accepts_both(built):
    files = sorted(map(str, built.iterdir()))
    assert len(files) == 2
    assert "PASSED" in run([sys.executable, "-m", "twine", "check", "--strict", *files], built)


def test_the_wheel_has_the_package_and_nothing_else(python, built, tmp_path):
    import zipfile

    (wheel,) = built.glob("*.whl")
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"captum_ext"}
    where = run([str(python), "-c", "import captum_ext; print(captum_ext.__file__)"], tmp_path)
    assert where.startswith(str(python.parent.parent))


def test_the_readmes_example_runs(python, tmp_path):
    text = (ROOT / "README.md").read_text()
    _, *blocks = re.findall(
        r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE
    )  # the first downloads weights
    script = tmp_path / "readme.py"
    script.write_text("\n".join([*blocks, "print(blur_idgi.shape, pgig.shape)"]))
    assert "torch.Size([2, 3, 32, 32]) torch.Size([2, 3, 32, 32])" in run([str(python), str(script)], tmp_path)


def test_the_command_draws_the_coffee(python, tmp_path):
    command = python.parent / "captum-ext"
    printed = run([str(command), "explain", "--steps", "2", "--methods", "ig,idgi"], tmp_path)
    assert "wrote explain.png" in printed
    assert Image.open(tmp_path / "explain.png").width > 500
