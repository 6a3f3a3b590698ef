"""Layer methods in TCAV and in LLMGradientAttribution."""

import captum.attr
import pytest
import torch
from captum.attr import LLMAttribution, LLMGradientAttribution, TextTokenInput
from captum.concept import TCAV, Concept
from captum.concept._utils.classifier import Classifier

from captum_ext.attr import IDGI, IntegratedGradients, LayerBlurIG, LayerIDGI, LayerIntegratedGradients
from tests.conformance.cases import LAYER_METHODS, Case, each
from tests.conformance.language import WORDS, LanguageModel, Tokenizer
from tests.helpers import close

STEPS = 6


# TCAV ------------------------------------------------------------------------------------------------------------


class Difference(Classifier):
    """Concepts' vectors by the difference of the class means."""

    def __init__(self):
        self._classes, self._weights = [], None

    def train_and_eval(self, dataloader, **arguments):
        inputs, labels = zip(*dataloader, strict=True)
        inputs, labels = torch.cat(inputs), torch.cat(labels)
        self._classes = labels.unique().tolist()
        means = [inputs[labels == label].mean(0) for label in self._classes]
        self._weights = torch.stack([means[0] - means[1], means[1] - means[0]])
        return {"accs": torch.tensor(1.0)}

    def weights(self):
        return self._weights

    def classes(self):
        return self._classes


def concepts():
    torch.manual_seed(4)
    data = torch.randn(12, 3, 6, 5, dtype=torch.float64)
    return [
        Concept(0, "striped", torch.utils.data.DataLoader(data[:6], batch_size=6)),
        Concept(1, "plain", torch.utils.data.DataLoader(data[6:] + 1, batch_size=6)),
    ]


def scores(net, method, images, folder, **arguments):
    tcav = TCAV(net, ["conv"], classifier=Difference(), layer_attr_method=method, save_path=str(folder), **arguments)
    result = tcav.interpret(images, [concepts()], target=[0, 1, 2], n_steps=STEPS)["0-1"]["conv"]
    weights = torch.as_tensor(tcav.cavs["0-1"]["conv"].stats["weights"])
    return result["magnitude"], result["sign_count"], weights


@each(LAYER_METHODS)
def test_tcav(case, net, images, tmp_path):
    magnitude, sign_count, weights = scores(net, case.make(net, None), images, tmp_path)
    attributions = case.make(net, net.conv).attribute(images, target=[0, 1, 2], n_steps=STEPS)
    products = attributions.flatten(1).float() @ weights.float().T
    close(sign_count, (products > 0).float().mean(0), 1e-7)
    close(magnitude, products.mean(0), 1e-6)
    assert not net.conv._forward_hooks


@pytest.mark.parametrize("at_input", [False, True])
def test_tcav_with_captums_and_our_layer_integrated_gradients(net, images, tmp_path, at_input):
    results = []
    for k, side in enumerate((captum.attr, None)):
        cls = side.LayerIntegratedGradients if side else LayerIntegratedGradients
        results.append(scores(net, cls(net, None), images, tmp_path / str(k), attribute_to_layer_input=at_input))
    for theirs, ours in zip(*results, strict=True):
        close(ours, theirs, 1e-6)


# Language models -------------------------------------------------------------------------------------------------


@pytest.fixture
def model():
    torch.manual_seed(8)
    return LanguageModel()


def by_hand(model, method, prompt, answer, **arguments):
    """Each output token's log probability, explained at the embedding of the prompt and of the answer so far."""
    rows = []
    for k, token in enumerate(answer):
        ids = torch.tensor([[*prompt, *answer[:k]]])
        start = torch.tensor([[0] * len(prompt) + answer[:k]])  # what was answered is no feature
        plain = method(lambda e, token=token: model.from_embedding(e)[:, -1].log_softmax(1)[:, token])
        embedded = model.embedding(ids).detach(), model.embedding(start).detach()
        rows.append(plain.attribute(*embedded, **arguments).sum(2)[0, : len(prompt)])
    return torch.stack(rows)


@pytest.mark.parametrize("target", ["mat", "a mat ran"])
def test_language_models(model, target):
    tokenizer = Tokenizer()
    prompt = tokenizer.encode("the cat sat on")
    answer = tokenizer.encode(target, add_special_tokens=False)
    for layer_method, plain in ((LayerIDGI, IDGI), (LayerIntegratedGradients, IntegratedGradients)):
        method = layer_method(model, model.embedding)
        result = LLMGradientAttribution(method, tokenizer).attribute(
            TextTokenInput("the cat sat on", tokenizer), target=target, n_steps=STEPS, internal_batch_size=4
        )
        close(result.token_attr, by_hand(model, plain, prompt, answer, n_steps=STEPS), 1e-10)
        close(result.seq_attr, result.token_attr.sum(0), 1e-7)
        assert result.input_tokens == ["<s>", "the", "cat", "sat", "on"]
        assert result.output_tokens == target.split()
        assert method.forward_func is model  # the wrapper works on a copy
    assert not model.embedding._forward_hooks


# Embeddings have no spatial dimensions; BlurPath can be told to blur along the tokens.
ALONG_TOKENS = [
    Case("Layer Blur IG along tokens", LayerBlurIG, max_sigma=2.0, spatial_dims=(1,)),
    *(case for case in LAYER_METHODS if case.minimum_rank <= 2),
]


@each(ALONG_TOKENS)
def test_every_layer_method_explains_what_a_language_model_wrote(case, model):
    tokenizer = Tokenizer()
    explained = LLMGradientAttribution(case.make(model, model.embedding), tokenizer)
    prompt = TextTokenInput("the dog ran", tokenizer, skip_tokens=[0])
    result = explained.attribute(prompt, gen_args={"max_new_tokens": 2}, n_steps=STEPS)
    assert result.token_attr.shape == (2, 3)
    assert set(result.output_tokens) <= set(WORDS)
    assert (result.token_attr != 0).any()


def test_language_models_by_captums_and_our_layer_integrated_gradients(model):
    tokenizer = Tokenizer()
    results = []
    for cls in (captum.attr.LayerIntegratedGradients, LayerIntegratedGradients):
        explained = LLMGradientAttribution(cls(model, model.embedding), tokenizer)
        results.append(explained.attribute(TextTokenInput("the dog", tokenizer), target="ran home a", n_steps=9))
    close(results[1].token_attr, results[0].token_attr, 1e-7)


def test_what_language_wrappers_refuse(model):
    tokenizer = Tokenizer()
    with pytest.raises(AssertionError, match="does not support"):  # it takes layer methods only
        LLMGradientAttribution(IDGI(model), tokenizer)
    with pytest.raises(AssertionError, match="does not support"):  # and this one takes perturbation methods only
        LLMAttribution(LayerIDGI(model, model.embedding), tokenizer)
