"""``captum-ext explain --text`` on small models with random weights."""

import json
import sys

import pytest
import torch

from captum_ext import targets
from captum_ext.attr import IDGI, IntegratedGradients
from captum_ext.cli import main
from captum_ext.text import TextInputs

transformers = pytest.importorskip("transformers")

USERS_MODULE = '''
import torch
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "bad", "film", "not", "very"]
SIZES = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, vocab_size=len(WORDS))


class Tokenizer:
    """Words separated by spaces."""

    pad_token_id, cls_token_id, sep_token_id, mask_token_id = range(4)

    def __call__(self, text, add_special_tokens=True, return_tensors=None):
        if isinstance(text, list):
            ids = torch.tensor([[1, *self(text[0], False)["input_ids"], 2]])
            return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        return {"input_ids": [WORDS.index(word) for word in text.split()]}

    def convert_ids_to_tokens(self, ids):
        return [WORDS[k] for k in ids]

    def decode(self, ids):
        return " ".join(WORDS[k] for k in ids)


def classifier():
    torch.manual_seed(0)
    config = BertConfig(**SIZES, id2label={0: "negative", 1: "positive"})
    return BertForSequenceClassification(config).double().train(), Tokenizer()


def masked():
    torch.manual_seed(0)
    return BertForMaskedLM(BertConfig(**SIZES)).double(), Tokenizer()


def decoder():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(WORDS), n_embd=16, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2)
    return GPT2LMHeadModel(config).double(), Tokenizer()


def model_only():
    return classifier()[0]


def no_embeddings():
    return torch.nn.Linear(2, 2), Tokenizer()


def broken():
    raise OSError("weights are missing")
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "users_text.py").write_text(USERS_MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    sys.modules.pop("users_text", None)
    yield tmp_path
    sys.modules.pop("users_text", None)


def explain(*arguments, model="classifier", text="not a very good film"):
    return main(["explain", "--text", text, "-m", f"users_text:{model}", "-d", "cpu", *arguments])


def result(capsys):
    return json.loads(capsys.readouterr().out)


def test_a_classifier(here, capsys):
    assert explain("-f", "json", "-n", "8", "-M", "ig,idgi,sig,dig,guided-ig", "-t", "Positive") == 0
    got = result(capsys)
    import users_text

    model, tokenizer = users_text.classifier()
    model.eval()
    ids = tokenizer(["not a very good film"])["input_ids"]
    assert (got["label"], got["target"], got["baseline"]) == ("positive", 1, "[MASK]")
    assert got["tokens"] == ["[CLS]", "not", "a", "very", "good", "film", "[SEP]"]
    assert got["probability"] == pytest.approx(model(ids).logits.softmax(1)[0, 1].item())
    text = TextInputs.of(model.get_input_embeddings(), ids, baseline=3, special=[1, 2])
    function = text.hold(targets.label(1, output="probability").of(model))
    by_name = {each["method"]: each for each in got["methods"]}
    for name, method in {"ig": IntegratedGradients, "idgi": IDGI}.items():
        expected = text.by_token(method(function).attribute(**text.arguments(), n_steps=8))[0]
        assert by_name[name]["scores"] == pytest.approx(expected.tolist())
    for each in got["methods"]:
        assert each["scores"][0] == each["scores"][-1] == 0
        assert all(each["scores"][1:-1])
    assert list(by_name) == ["ig", "idgi", "sig", "dig", "guided-ig"]
    page = (here / "explain.html").read_text()
    assert page.count("<span") == 7 * 5
    assert "probability of positive" in page


def test_the_predicted_class_and_a_picture(here, capsys):
    assert explain("-o", "map.png", "-n", "4", "--logit") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("IG: completeness error")
    assert lines[1:] == ["IDGI", "one token at a time", "wrote map.png"]
    assert (here / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("model", "text"), [("decoder", "a very good"), ("masked", "a [MASK] film")])
def test_language_models(here, capsys, model, text):
    arguments = ("-f", "json", "-n", "4", "-M", "idgi", "-b", "[PAD]")
    assert explain(*arguments, "-t", "bad", model=model, text=text) == 0
    named = result(capsys)
    assert (named["target"], named["label"], named["baseline"]) == (6, "'bad'", "[PAD]")
    import users_text

    net, tokenizer = getattr(users_text, model)()
    ids = tokenizer([text])["input_ids"]
    place = text.split().index("[MASK]") + 1 if model == "masked" else -1
    probabilities = net.eval()(ids).logits[0, place].softmax(0)
    assert named["probability"] == pytest.approx(probabilities[6].item())
    scores = dict(zip(named["tokens"], named["methods"][0]["scores"], strict=True))
    assert scores.get("[MASK]", 0) == scores["[CLS]"] == 0
    assert explain(*arguments, model=model, text=text) == 0
    assert result(capsys)["target"] == int(probabilities.argmax())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "resnet18"], "--model resnet18: --text needs module:function, a function that returns"),
        (["-m", "users_text:model_only"], "got BertForSequenceClassification"),
        (["-m", "users_text:no_embeddings"], "missing: model.get_input_embeddings"),
        (["-m", "users_text:broken"], "OSError: weights are missing"),
        (["-m", "users_text:nothing"], "has no attribute 'nothing'"),
        (
            ["-t", "positives"],
            "--target positives: expected one of the classes negative, positive.*Did you mean positive",
        ),
        (["-t", "2"], "an index below 2"),
        (["-M", "blur-ig"], "expected some of ig,idgi,guided-ig,dig,sig for a text"),
        (["-n", "auto"], "--steps auto: not available with --text"),
        (["-o", "map.jpg"], "ends with .html or .png"),
        (["-b", "not good"], "--baseline not good: expected one token"),
        (["-l", "layer4"], "--text: .* can't be combined with --layer"),
        (["cat.jpg"], "can't be combined with an image"),
        (["--text", " "], "expected some words"),
        (["--text", "[SEP]"], "no token to explain"),
        (["--text", "unheard"], "--text: ValueError: 'unheard' is not in list"),
    ],
)
def test_mistakes(here, capsys, arguments, message):
    import re

    assert explain(*arguments) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert error.count("\n") == 1
    assert not (here / "explain.html").exists()


def test_a_token_of_several_pieces(here, capsys):
    assert explain("-t", "very good", model="decoder") == 2
    assert "expected one token of the model's vocabulary, got 2 ('very', 'good')" in capsys.readouterr().err


def test_the_models_of_users_are_in_evaluation_mode(here, capsys):
    """The classifier comes in training mode; with dropout two runs would differ."""
    runs = []
    for _ in range(2):
        assert explain("-f", "json", "-n", "3", "-M", "ig") == 0
        runs.append(result(capsys))
    assert runs[0] == runs[1]
    assert torch.is_grad_enabled()
