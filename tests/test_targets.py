"""Targets for text, on architectures of transformers with random weights; padding; sums over words and sentences."""

import copy
import inspect

import pytest
import torch

from captum_ext import targets
from captum_ext.attr import DIG, IDGI, GuidedIG, IntegratedGradients, LayerPathAttribution, OneAtATime
from captum_ext.text import TextInputs, group_sums, sentence_groups, word_groups
from tests.helpers import close

transformers = pytest.importorskip("transformers")

VOCABULARY = 40
TEXT = torch.tensor([[5, 6, 7, 8, 9], [11, 12, 13, 14, 15]])
SHORT = torch.tensor([[11, 12, 13]])


def build(kind, config, **settings):
    torch.manual_seed(0)
    tokens = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    return kind(config(vocab_size=VOCABULARY, **tokens, **settings)).double().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def gpt2():
    return build(transformers.GPT2LMHeadModel, transformers.GPT2Config, n_embd=16, n_layer=2, n_head=2, n_positions=32)


@pytest.fixture(scope="module")
def llama():
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    return build(transformers.LlamaForCausalLM, transformers.LlamaConfig, **sizes)


@pytest.fixture(scope="module")
def t5():
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
    return build(transformers.T5ForConditionalGeneration, transformers.T5Config, **sizes)


BERT_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


@pytest.fixture(scope="module")
def bert():
    return build(transformers.BertForSequenceClassification, transformers.BertConfig, num_labels=3, **BERT_SIZES)


@pytest.fixture(scope="module")
def masked_bert():
    return build(transformers.BertForMaskedLM, transformers.BertConfig, **BERT_SIZES)


@pytest.fixture(params=["gpt2", "llama", "t5"])
def language_model(request):
    return request.getfixturevalue(request.param)


def embed(model, ids):
    return model.get_input_embeddings()(ids).detach()


def padded(side, length=5):
    """The short text in a batch with a long one."""
    zeros = torch.zeros(1, length - SHORT.shape[1], dtype=torch.long)
    ids = torch.cat([zeros, SHORT] if side == "left" else [SHORT, zeros], 1)
    return torch.cat([TEXT[:1], ids]), torch.cat([torch.ones(1, length, dtype=torch.long), (ids != 0).long()])


def naive_log_probability(model, ids, continuation):
    """The log-probability of one text's continuation, from token ids and the model's own loss."""
    if model.config.is_encoder_decoder:
        return -model(input_ids=ids, labels=continuation).loss * continuation.shape[1]
    whole = torch.cat([ids, continuation], 1)
    logits = model(input_ids=whole).logits.log_softmax(2)
    return sum(logits[0, ids.shape[1] + k - 1, token] for k, token in enumerate(continuation[0].tolist()))


@pytest.mark.parametrize("continuation", [[3], [3, 4, 5]])
def test_a_sequence_is_as_likely_as_the_models_own_loss_says(language_model, continuation):
    f = targets.sequence(continuation).of(language_model)
    expected = [naive_log_probability(language_model, row[None], torch.tensor([continuation])) for row in TEXT]
    close(f(embed(language_model, TEXT)), torch.stack(expected))
    close(f(TEXT), torch.stack(expected))  # of token ids


def test_sequences_may_differ_between_examples_and_in_length(language_model):
    continuations = torch.tensor([[3, 4, 5], [7, -100, -100]])
    values = targets.sequence().of(language_model)(embed(language_model, TEXT), None, continuations)
    expected = [
        naive_log_probability(language_model, TEXT[:1], torch.tensor([[3, 4, 5]])),
        naive_log_probability(language_model, TEXT[1:], torch.tensor([[7]])),
    ]
    close(values, torch.stack(expected))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(language_model, side):
    """On the left, a decoder counts positions from the first token, as generate() does."""
    ids, mask = padded(side)
    for target in (targets.next_token(3), targets.contrast(3, 4)):
        alone = target.of(language_model)(embed(language_model, SHORT))
        close(target.of(language_model)(embed(language_model, ids), mask)[1:], alone)
    if side == "left" or language_model.config.is_encoder_decoder:
        target = targets.sequence([3, 4])
        alone = target.of(language_model)(embed(language_model, SHORT))
        close(target.of(language_model)(embed(language_model, ids), mask)[1:], alone)


def test_a_continuation_after_padding_is_refused(gpt2):
    ids, mask = padded("right")
    with pytest.raises(ValueError, match="padding_side = 'left'"):
        targets.sequence([3, 4]).of(gpt2)(embed(gpt2, ids), mask)


def test_next_token_and_contrast_are_what_the_logits_say(language_model):
    embeddings = embed(language_model, TEXT)
    arguments = (
        {"decoder_input_ids": torch.zeros(2, 1, dtype=torch.long)} if language_model.config.is_encoder_decoder else {}
    )
    logits = language_model(inputs_embeds=embeddings, **arguments).logits[:, -1]
    close(targets.next_token(3, output="logit").of(language_model)(embeddings), logits[:, 3])
    close(targets.next_token(3, output="probability").of(language_model)(embeddings), logits.softmax(1)[:, 3])
    close(targets.next_token(3).of(language_model)(embeddings), logits.log_softmax(1)[:, 3])
    close(targets.contrast(3, 4).of(language_model)(embeddings), logits[:, 3] - logits[:, 4])
    each = targets.contrast(b=4).of(language_model)(embeddings, None, torch.tensor([3, 6]))
    close(each, logits[[0, 1], [3, 6]] - logits[:, 4])


def test_a_classifier_and_a_masked_token(bert, masked_bert):
    logits = bert(input_ids=TEXT).logits
    close(targets.label(2).of(bert)(embed(bert, TEXT)), logits[:, 2])
    close(targets.contrast(2, 0).of(bert)(embed(bert, TEXT)), logits[:, 2] - logits[:, 0])
    close(
        targets.label(output="probability").of(bert)(TEXT, None, torch.tensor([0, 1])),
        logits.softmax(1)[[0, 1], [0, 1]],
    )
    expected = masked_bert(input_ids=TEXT).logits[:, 1].log_softmax(1)[:, 9]
    close(targets.next_token(9, position=1).of(masked_bert)(embed(masked_bert, TEXT)), expected)


def test_tuples_and_plain_tensors_of_other_models_work():
    def model(inputs_embeds, attention_mask):
        return inputs_embeds.sum(1)

    close(targets.contrast(0, 1).of(model)(torch.tensor([[[3.0, 1.0], [1.0, 1.0]]])), torch.tensor([2.0]))


@pytest.mark.parametrize(("method", "most"), [(IntegratedGradients, 0.01), (IDGI, 1e-9), (GuidedIG, 0.1)])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "bert"])
def test_methods_sum_to_the_change_and_leave_padding_and_special_tokens_at_zero(request, kind, method, most):
    model = request.getfixturevalue(kind)
    ids, mask = padded("right" if kind == "bert" else "left")
    # Not from the padding token, whose embedding is 0: an RMS norm is steep there.
    text = TextInputs.of(model.get_input_embeddings(), ids, mask, baseline=3, special=[5, 13], padding=0)
    f = targets.contrast(1, 2).of(model)
    arguments = text.arguments()
    attributions = method(text.hold(f)).attribute(**arguments, n_steps=64, internal_batch_size=7)
    scores = text.by_token(attributions)
    assert (scores[~text.moves] == 0).all()
    assert (attributions[~text.moves] == 0).all()
    assert (scores[text.moves] != 0).all()
    change = f(text.embeddings, mask) - f(text.baselines, mask)
    close(scores.sum(1), change, most * float(change.abs().max()))


KINDS = ["gpt2", "llama", "t5", "bert"]
QUESTIONS = {
    "contrast": targets.contrast(1, 2),
    "next_token": targets.next_token(1),
    "sequence": targets.sequence([3, 4]),
}
ASKED = [(kind, name) for kind in KINDS for name in QUESTIONS if kind != "bert" or name == "contrast"]


def held_text(model, kind):
    """Two texts with padding and special tokens."""
    ids, mask = padded("right" if kind == "bert" else "left")
    return TextInputs.of(model.get_input_embeddings(), ids, mask, baseline=3, special=[5, 13], padding=0)


@pytest.mark.parametrize(("kind", "question"), ASKED)
def test_dig_is_a_loop_over_its_words_and_sums_to_the_change(request, kind, question):
    model = request.getfixturevalue(kind)
    text, f = held_text(model, kind), QUESTIONS[question].of(model)
    dig = DIG(text.hold(f), model.get_input_embeddings(), n_words=4, neighbors=20, special=[0, 5, 13])
    points = [dig.path.point((text.embeddings,), (text.baselines,), k / 5)[0] for k in range(6)]
    gradients = []
    for point in points:
        leaf = point.clone().requires_grad_()
        gradients.append(torch.autograd.grad(f(leaf, text.attention_mask).sum(), leaf)[0])
    expected = sum((gradients[k] + gradients[k + 1]) / 2 * (points[k + 1] - points[k]) for k in range(5))
    attributions = dig.attribute(**text.arguments(), n_steps=5, internal_batch_size=3)
    close(attributions, expected)
    assert (attributions[~text.moves] == 0).all()
    assert (text.by_token(attributions)[text.moves] != 0).all()
    change = f(text.embeddings, text.attention_mask) - f(text.baselines, text.attention_mask)
    close(dig.attribute(**text.arguments(), n_steps=640).sum((1, 2)), change, 0.01 * float(change.abs().max()))


@pytest.mark.parametrize(("kind", "question"), ASKED)
def test_one_at_a_time_is_a_call_per_token(request, kind, question):
    model = request.getfixturevalue(kind)
    text, f = held_text(model, kind), QUESTIONS[question].of(model)
    together = OneAtATime(IntegratedGradients(text.hold(f))).attribute(
        **text.arguments(), n_steps=6, internal_batch_size=7
    )
    for token in range(text.moves.shape[1]):
        start = text.embeddings.clone()
        start[:, token] = text.baselines[:, token]
        alone = IntegratedGradients(f).attribute(
            text.embeddings, start, additional_forward_args=text.attention_mask, n_steps=6
        )
        close(together[:, token], alone[:, token])
    assert (together[~text.moves] == 0).all()
    assert (text.by_token(together)[text.moves] != 0).all()


def test_idgi_shares_with_tokens_that_are_not_held(bert):
    ids, mask = padded("right")
    text = TextInputs.of(bert.get_input_embeddings(), ids, mask, baseline=0, special=[5])
    f = targets.label(1).of(bert)
    loose = IDGI(f).attribute(text.embeddings, text.baselines, additional_forward_args=mask, n_steps=4)
    assert (loose[1, 3:] == 0).all()  # hidden by the mask
    assert (loose[0, 0] != 0).any()  # [CLS], say
    with pytest.raises(ValueError, match=r"text\.hold"):
        text.by_token(loose)


def test_padding_that_no_mask_hides_warns(bert):
    ids, mask = padded("right")
    with pytest.warns(UserWarning, match="does not hide all padding"):
        TextInputs.of(bert.get_input_embeddings(), ids, baseline=0, padding=0)
    TextInputs.of(bert.get_input_embeddings(), ids, mask, baseline=0, padding=0)


@pytest.mark.parametrize("target", [targets.contrast(1, 2), targets.sequence([3, 4, 5])], ids=["contrast", "sequence"])
def test_token_ids_at_the_embedding_layer_give_the_same_as_embeddings(gpt2, target):
    ids, mask = padded("left")
    baseline = torch.where(mask.bool(), 0, ids)
    f, embedding = target.of(gpt2), gpt2.get_input_embeddings()
    at_inputs = IntegratedGradients(f).attribute(
        embedding(ids), embedding(baseline), additional_forward_args=mask, n_steps=5
    )
    layer = LayerPathAttribution(f, embedding)
    at_layer = layer.attribute(ids, baseline, additional_forward_args=mask, n_steps=5, internal_batch_size=3)
    close(at_layer[:, :5], at_inputs)
    assert (at_layer[:, 5:] == 0).all()  # the continuation does not move


def test_targets_per_example_follow_their_rows_in_small_passes(gpt2):
    f = targets.contrast().of(gpt2)
    tokens = (torch.tensor([3, 4]), torch.tensor([5, 6]))
    arguments = {"n_steps": 6, "internal_batch_size": 1}
    together = IntegratedGradients(f).attribute(
        embed(gpt2, TEXT), additional_forward_args=(torch.ones_like(TEXT), *tokens), **arguments
    )
    for k, (a, b) in enumerate([(3, 5), (4, 6)]):
        alone = IntegratedGradients(targets.contrast(a, b).of(gpt2)).attribute(
            embed(gpt2, TEXT[k : k + 1]), **arguments
        )
        close(together[k : k + 1], alone)


def test_a_model_in_training_mode_warns(gpt2):
    gpt2.train()
    try:
        with pytest.warns(UserWarning, match="training mode"):
            IntegratedGradients(targets.next_token(3).of(gpt2)).attribute(embed(gpt2, TEXT), n_steps=2)
    finally:
        gpt2.eval()


def test_only_the_logits_that_are_read_are_computed(gpt2):
    shapes = []
    handle = gpt2.lm_head.register_forward_hook(lambda module, inputs, output: shapes.append(output.shape[1]))
    try:
        targets.next_token(3).of(gpt2)(embed(gpt2, TEXT))
        targets.sequence([3, 4, 5]).of(gpt2)(embed(gpt2, TEXT))
    finally:
        handle.remove()
    takes = "logits_to_keep" in inspect.signature(gpt2.forward).parameters  # older versions of transformers do not
    assert shapes == ([1, 3] if takes else [5, 7])


def test_probabilities_of_a_model_in_bfloat16_are_computed_in_float32(gpt2):
    half = copy.deepcopy(gpt2).to(torch.bfloat16)
    logits = half(input_ids=TEXT).logits[:, -1].double()
    for target, expected in [
        (targets.next_token(3), logits.log_softmax(1)[:, 3]),
        (targets.contrast(3, 4), logits[:, 3] - logits[:, 4]),
    ]:
        close(target.of(half)(embed(half, TEXT)).double(), expected, 1e-5)
    attributions = IntegratedGradients(targets.sequence([3, 4]).of(half)).attribute(embed(half, TEXT), n_steps=4)
    exact = IntegratedGradients(targets.sequence([3, 4]).of(gpt2)).attribute(embed(gpt2, TEXT), n_steps=4)
    assert attributions.dtype == torch.float32
    assert (attributions - exact).norm() < 0.1 * exact.norm()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda model: targets.next_token("cat"), TypeError, "token: expected an integer, got str"),
        (lambda model: targets.next_token(3, output="odds"), ValueError, "output: expected one of"),
        (lambda model: targets.sequence([]), ValueError, "at least one token"),
        (lambda model: targets.sequence("cat"), TypeError, "expected a list of token ids"),
        (lambda model: targets.next_token(99).of(model)(TEXT), ValueError, "token: expected an id from 0"),
        (lambda model: targets.sequence([99]).of(model)(TEXT), ValueError, "tokens: expected ids from 0 to 39"),
        (lambda model: targets.contrast(1).of(model)(TEXT), ValueError, r"\['b'\] of each example, got 0"),
        (lambda model: targets.contrast(1, 2).of(model)(TEXT, None, TEXT[:, 0]), ValueError, "got 1 tensors"),
        (lambda model: targets.contrast(1).of(model)(TEXT, None, TEXT), ValueError, r"integer ids, \(2,\)"),
        (lambda model: targets.next_token(1, position=5).of(model)(TEXT), ValueError, "position: expected one of 5"),
        (lambda model: targets.next_token(1).of(model)(TEXT, TEXT * 0), ValueError, "a row of zeros"),
        (lambda model: targets.next_token(1).of(model)(TEXT, TEXT[:, :2]), ValueError, "mask: expected shape"),
        (lambda model: targets.label(1).of(model)(TEXT), ValueError, "targets.next_token"),
        (lambda model: targets.next_token(1).of(lambda **_: 3)(TEXT * 1.0), ValueError, "expected logits"),
        (lambda model: targets.next_token(1).of(3), TypeError, "model: expected a model"),
        (lambda model: targets.sequence().of(model)(TEXT, None, TEXT * 0 - 100), ValueError, "at least one token per"),
    ],
)  # fmt: skip
def test_mistakes(gpt2, call, kind, message):
    with pytest.raises(kind, match=message):
        call(gpt2)


def test_a_classifier_has_no_next_token(bert):
    with pytest.raises(ValueError, match=r"targets\.label"):
        targets.next_token(1).of(bert)(TEXT)
    with pytest.raises(ValueError, match="one prediction for the whole text"):
        targets.contrast(1, 0, position=2).of(bert)(TEXT)


def test_sums_over_groups_keep_the_sum():
    scores = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    scores[:, [0, 5]] = 0
    tokens = ["[CLS]", "un", "##like", "##ly", "!", "[SEP]"]
    for groups in (word_groups, sentence_groups):
        close(group_sums(scores, groups(tokens, ["[CLS]", "[SEP]"])).sum(1), scores.sum(1), 1e-6)
    close(group_sums(scores, word_groups(tokens, ["[CLS]", "[SEP]"]))[:, 0], scores[:, 1:4].sum(1), 1e-6)
    with pytest.warns(UserWarning, match="without a group"):
        group_sums(scores + 1, word_groups(tokens, ["[CLS]", "[SEP]"]))
    with pytest.raises(ValueError, match="one for each of 6 tokens, got 2"):
        group_sums(scores, [0, 0])
    assert group_sums(scores * 0, [None] * 6).shape == (2, 0)


def test_words_of_three_tokenizers():
    assert word_groups(["<s>", "▁un", "like", "ly", "▁film", "."], ["<s>"]) == [None, 0, 0, 0, 1, 1]
    assert word_groups(["The", "Ġkeys", "Ġto"]) == [0, 1, 2]
    assert word_groups(["##ing", "it"]) == [0, 1]
    assert word_groups(["a", "[SEP]", "##b"], ["[SEP]"]) == [0, None, 1]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"ids": TEXT * 1.0}, TypeError, "ids: expected a tensor of token ids"),
        ({"ids": TEXT + 100}, ValueError, "ids of the vocabulary, got 105 to 115"),
        ({"attention_mask": TEXT[:, :2]}, ValueError, "attention_mask: expected the shape of ids"),
        ({"baseline": "pad"}, TypeError, "baseline: expected a token id"),
        ({"baseline": torch.zeros(3)}, ValueError, r"baseline: expected shape \(4,\)"),
        ({"special": TEXT[0].tolist()}, ValueError, r"texts \[0\] have no token to explain"),
    ],
)
def test_mistakes_in_texts(arguments, kind, message):
    defaults = {"ids": TEXT, "attention_mask": None, "baseline": 0.0}
    with pytest.raises(kind, match=message):
        TextInputs.of(torch.nn.Embedding(20, 4), **{**defaults, **arguments})


def test_the_texts_of_a_pair_are_two_sentences():
    tokens = ["[CLS]", "a", "man", "sleeps", "[SEP]", "a", "woman", "runs", "[SEP]"]
    groups = sentence_groups(tokens, ["[CLS]", "[SEP]"])
    assert groups == [None, 0, 0, 0, None, 1, 1, 1, None]
