"""Photographs of any kind, as the classifier is given them."""

import numpy as np
import pytest
from PIL import Image

from captum_ext._utils.errors import UserError
from captum_ext.vision.pictures import read

RAMP = np.linspace(0, 255, 64, dtype=np.uint8).reshape(8, 8)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("eight.png", RAMP),
        ("sixteen.png", RAMP.astype(np.uint16) * 257),
        ("sixteen.tif", RAMP.astype(np.uint16) * 257),
        ("float.tif", (RAMP / 255).astype(np.float32)),
    ],
)
def test_depths_of_colour(tmp_path, name, values):
    Image.fromarray(values).save(tmp_path / name)
    picture = read(str(tmp_path / name))
    assert picture.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(picture)[..., 1], RAMP)


@pytest.mark.parametrize("values", [RAMP.astype(np.float32), np.full((8, 8), -1, np.int32)])
def test_values_of_unknown_range_are_refused(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(UserError, match=r"x\.tif: expected values from 0 to 1 or 16 bits per pixel, got .*; save it"):
        read(str(tmp_path / "x.tif"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_modes(tmp_path, mode):
    name = str(tmp_path / ("x.jpg" if mode in ("CMYK", "YCbCr") else "x.png"))
    Image.fromarray(np.stack([RAMP] * 3, -1)).convert(mode).save(name)
    assert read(name).mode == "RGB"


def test_turned_by_the_camera(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((4, 8, 3), np.uint8)).save(tmp_path / "x.jpg", exif=exif)
    assert read(str(tmp_path / "x.jpg")).size == (4, 8)


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    Image.fromarray(RAMP).save(tmp_path / "x.png")
    with pytest.raises(UserError, match=r"x\.png: Image size"):
        read(str(tmp_path / "x.png"))
