"""Which images an evaluation finds, and with which labels."""

import os
from pathlib import Path

import pytest
from PIL import Image

from captum_ext._utils.errors import UserError
from captum_ext.evaluation import find_images


@pytest.fixture
def folder(tmp_path):
    for name in ("b/x.png", "a/y.png", "a/z.jpg"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    (tmp_path / "images" / "a" / "notes.txt").write_text("no image")
    return tmp_path / "images"


def test_folders_are_classes(folder):
    assert [(image.name, image.label) for image in find_images(folder)] == [
        ("a/y.png", 0),
        ("a/z.jpg", 0),
        ("b/x.png", 1),
    ]
    assert {image.folders for image in find_images(folder)} == {2}


def test_an_empty_class_counts(folder):
    (folder / "aa").mkdir()
    assert [image.label for image in find_images(folder)] == [0, 0, 2]


def test_images_beside_folders_have_no_label(folder):
    Image.new("RGB", (4, 4)).save(folder / "c.png")
    assert {image.label for image in find_images(folder)} == {None}


@pytest.mark.parametrize("header", ["file,class_index", "path,label", "\ufefffilename,target"])
def test_a_table_of_labels(folder, header):
    (folder / "labels.csv").write_text(f"{header}\nb/x.png,7\na/gone.png,1\n", encoding="utf-8")
    found = find_images(folder)
    assert [(image.name, image.label) for image in found] == [("a/gone.png", 1), ("b/x.png", 7)]
    assert found[1].path.is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,class_index\n", "names no images"),
        ("file,class_index\na/y.png,cat\n", "line 2: expected columns file and class_index .* class_index=cat"),
        ("name,number\na/y.png,1\n", "line 2: expected columns"),
        ("file,class_index\na/y.png,1\na/y.png,1\n", "line 3: a/y.png is there twice"),
        ("file,class_index\na/y.png,-1\n", "an integer from 0"),
    ],
)
def test_a_table_that_is_none(folder, tmp_path, text, message):
    table = tmp_path / "t.csv"
    table.write_text(text)
    with pytest.raises(UserError, match=message):
        find_images(folder, table)


def test_nothing_to_find(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        find_images(tmp_path / "none")
    with pytest.raises(UserError, match="no image files"):
        find_images(tmp_path)
    with pytest.raises(UserError, match="can't be read"):
        find_images(tmp_path, tmp_path / "none.csv")


def test_bytes_that_are_no_utf_8_become_escapes(folder):
    name = os.fsencode(folder) + b"/a/caf\xe9.png"
    os.rename(folder / "a" / "y.png", name)  # noqa: PTH104
    found = find_images(folder)
    (image,) = (image for image in found if "caf" in image.name)
    assert (image.name, image.label) == ("a/caf\\udce9.png", 0)
    assert os.fsencode(image.path) == name
    image.name.encode()


@pytest.mark.parametrize("place", ["", "a"])
def test_a_folder_that_can_not_be_read_is_named(folder, monkeypatch, place):
    """Root may read everything, so the refusal is made here. Images in it must not be left out without a word."""
    scandir = os.scandir

    def refuse(path):
        if Path(path) == folder / place:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match="can't be read \\(Permission denied\\)"):
        find_images(folder)


def test_a_folder_below_one_that_can_not_be_read_is_named(folder, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(UserError, match="images: can't be read \\(Permission denied\\)"):
        find_images(folder)
