"""A device without float64."""

import pytest

import captum_ext._utils.devices
from tests.elsewhere import DEVICE, pretended


@pytest.fixture
def without_float64(monkeypatch):
    monkeypatch.setattr(captum_ext._utils.devices, "_WITHOUT_FLOAT64", ("mps", DEVICE.type))
    with pretended():
        yield
