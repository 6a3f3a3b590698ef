"""What the mask hides gets exactly nothing, and more of it changes nothing, for the methods that apply to text."""

import pytest
import torch
from captum.attr import NoiseTunnel

from captum_ext import targets
from captum_ext.attr import (
    DIG,
    IDG,
    IDGI,
    GuidedIG,
    IntegratedGradients,
    LayerPathAttribution,
    OneAtATime,
)
from tests.helpers import close
from tests.test_targets import bert  # noqa: F401  (a fixture)

IDS = torch.tensor([[5, 6, 7, 8, 9], [11, 12, 13, 0, 0]])


METHODS = {
    "IG": lambda f, table: IntegratedGradients(f),
    "IDG": lambda f, table: IDG(f),
    "IDGI": lambda f, table: IDGI(f),
    "Guided IG": lambda f, table: GuidedIG(f),
    "DIG": lambda f, table: DIG(f, table, n_words=3, neighbors=10, special=[0]),
    "SIG": lambda f, table: OneAtATime(IntegratedGradients(f)),
}


def attributions(name, model, ids):
    embedding, f = model.get_input_embeddings(), targets.label(1, output="probability").of(model)
    x, mask = embedding(ids).detach(), (ids != 0).long()
    start = embedding(torch.full_like(ids, 3)).detach()  # padding moves too: only the mask hides it
    method = METHODS[name](f, embedding)
    return method.attribute(x, start, additional_forward_args=mask, n_steps=8), mask.bool()


@pytest.mark.parametrize("name", METHODS)
def test_hidden_tokens_get_nothing_and_more_of_them_change_nothing(bert, name):  # noqa: F811
    got, shown = attributions(name, bert, IDS)
    longer, _ = attributions(name, bert, torch.cat([IDS, IDS.new_zeros(2, 4)], 1))
    assert (got[~shown] == 0).all()
    assert (longer[:, 5:] == 0).all()
    assert (got[shown] != 0).any(1).all()
    if name != "Guided IG":  # its fraction is one of all features, padding included
        close(longer[:, :5], got)


def test_at_the_embedding_layer_too(bert):  # noqa: F811
    f, embedding = targets.label(1).of(bert), bert.get_input_embeddings()
    made = []
    for ids in (IDS, torch.cat([IDS, IDS.new_zeros(2, 4)], 1)):
        mask = (ids != 0).long()
        made.append(
            LayerPathAttribution(f, embedding).attribute(
                ids, torch.full_like(ids, 3), additional_forward_args=mask, n_steps=6
            )
        )
        assert (made[-1][~mask.bool()] == 0).all()
    close(made[1][:, :5], made[0])


def test_averages_over_noise_leave_hidden_tokens_at_zero(bert):  # noqa: F811
    f, embedding, mask = targets.label(1).of(bert), bert.get_input_embeddings(), (IDS != 0).long()
    x = embedding(IDS).detach()
    noisy = NoiseTunnel(IntegratedGradients(f))
    got = noisy.attribute(x, nt_samples=3, stdevs=0.01, baselines=0 * x, additional_forward_args=mask, n_steps=4)
    assert (got[IDS == 0] == 0).all()
    assert (got[IDS != 0] != 0).any(1).all()
