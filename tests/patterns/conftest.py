"""A model with branches, and its patterns."""

import pytest

from captum_ext.patterns import fit_patterns
from tests.patterns.models import branched, inputs


@pytest.fixture
def model():
    return branched()


@pytest.fixture
def patterns(model):
    return fit_patterns(model, [inputs(40, seed=5)])
