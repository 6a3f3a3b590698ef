"""``captum-ext explain --text``: the tokens of a text, colored by the attributions of several methods."""

from __future__ import annotations

import argparse
import html
import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext import targets
from captum_ext._utils.language_models import Prediction, TextModel
from captum_ext._utils.text import did_you_mean, printable
from captum_ext.attr import DIG, IDGI, GuidedIG, IntegratedGradients, OneAtATime
from captum_ext.cli.console import print_error, print_line
from captum_ext.cli.errors import CommandError, command_errors
from captum_ext.cli.figure import write_file
from captum_ext.cli.models import call_function
from captum_ext.cli.options import parse_count, parse_device, parse_output
from captum_ext.targets import TextTarget
from captum_ext.text import TextInputs

TEXT_METHODS = {"ig": "IG", "idgi": "IDGI", "guided-ig": "Guided IG", "dig": "DIG", "sig": "one token at a time"}
_DEFAULT_METHODS = "ig,idgi,sig"
_TEXT_MAX_STEPS = 5000
_DIG_WORDS = 10
_FIXED = ("cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id", "pad_token_id", "mask_token_id")
_BLANKS = ("mask_token_id", "pad_token_id", "unk_token_id", "eos_token_id")
_CONTRACT = (
    "a function that returns (model, tokenizer): a model of transformers, or one with get_input_embeddings() and "
    "forward(inputs_embeds=..., attention_mask=...), and its tokenizer"
)
# Options of images, and their values if they are not given.
_IMAGE_OPTIONS: dict[str, Any] = {
    **{"images": [], "weights": None, "patterns": None, "top_k": "1", "layer": None},
    **{"style": "overlay", "save": None, "exact": False},
}


@dataclass(frozen=True)
class _Question:
    """A target, its number in the vocabulary or among the classes, and its name."""

    target: TextTarget
    index: int
    label: str
    probability: float
    quantity: str


def explain_text(arguments: argparse.Namespace) -> None:
    """Explain a text and write the picture.

    Raises:
        CommandError: If an argument can't be used.
    """
    methods, steps, output = _check_options(arguments)
    device = parse_device(arguments.device)
    model, tokenizer = _load(arguments.model)
    model.to(device)
    with command_errors("--text"):
        ids, mask = _tokenize(tokenizer, arguments.text, device)
        question = _ask(arguments, model, tokenizer, ids, mask)
        baseline = _baseline(arguments.baseline, tokenizer)
        special: set[Any] = {getattr(tokenizer, name, None) for name in _FIXED} - {None}
        embedding: Any = model.get_input_embeddings()  # type: ignore[operator]
        text = TextInputs.of(embedding, ids, mask, baseline=baseline, special=special)
    tokens = [str(token) for token in tokenizer.convert_ids_to_tokens(ids[0].tolist())]
    function = text.hold(question.target.of(model))
    rows = {}
    numbers = []
    for name in methods:
        scores, delta = _token_scores(name, function, embedding, special, text, steps)
        rows[TEXT_METHODS[name]] = scores
        numbers.append({"method": name, "scores": scores.tolist(), "completeness_error": delta})
        if arguments.format == "text":
            error = "" if delta is None else f": completeness error {delta:.3g}"
            print_line(f"{TEXT_METHODS[name]}{error}")
    title = f"{question.quantity} of {question.label}, p = {question.probability:.3f}"
    _write(output, tokens, rows, title)
    if arguments.format == "json":
        settings = {"model": arguments.model, "text": arguments.text, "steps": steps}
        settings |= {"target": question.index, "label": question.label, "probability": question.probability}
        baseline_token = str(tokenizer.convert_ids_to_tokens([baseline])[0])
        print_line(
            json.dumps(
                {**settings, "baseline": baseline_token, "tokens": tokens, "methods": numbers, "files": [str(output)]}
            )
        )
        return
    print_line(f"wrote {output}")


def _check_options(arguments: argparse.Namespace) -> tuple[list[str], int, Path]:
    """The methods, the number of steps and the file to write; all that can fail before the model is loaded."""
    for name, default in _IMAGE_OPTIONS.items():
        if getattr(arguments, name) != default:
            option = "an image" if name == "images" else f"--{name.replace('_', '-')}"
            raise CommandError(f"--text: explains a text, so it can't be combined with {option}; leave that out")
    if not arguments.text.strip():
        raise CommandError("--text: expected some words, got none")
    if ":" not in arguments.model:
        raise CommandError(f"--model {arguments.model}: --text needs module:function, {_CONTRACT}")
    names = arguments.methods if arguments.methods is not None else _DEFAULT_METHODS
    methods = list(dict.fromkeys(name.strip().lower() for name in names.split(",") if name.strip()))
    unknown = [name for name in methods if name not in TEXT_METHODS]
    if not methods or unknown:
        hint = did_you_mean(unknown[0], TEXT_METHODS) if unknown else ""
        raise CommandError(f"--methods {names}: expected some of {','.join(TEXT_METHODS)} for a text.{hint}")
    if arguments.steps == "auto":
        raise CommandError("--steps auto: not available with --text; give a number")
    steps = parse_count("--steps", arguments.steps, _TEXT_MAX_STEPS)
    return methods, steps, parse_output(arguments.output or "explain.html", (".html", ".png"))


def _load(name: str) -> tuple[nn.Module, Any]:
    """The model in evaluation mode, and its tokenizer."""
    pair = call_function(name)
    if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], nn.Module)):
        raise CommandError(f"--model {name}: --text needs {_CONTRACT}; got {type(pair).__name__}")
    model, tokenizer = pair
    missing = [f"model.{each}" for each in ("get_input_embeddings",) if not hasattr(model, each)]
    missing += ["a tokenizer that can be called"] * (not callable(tokenizer))
    missing += ["tokenizer.convert_ids_to_tokens"] * (not hasattr(tokenizer, "convert_ids_to_tokens"))
    if missing:
        raise CommandError(f"--model {name}: --text needs {_CONTRACT}; missing: {', '.join(missing)}")
    return model.eval().requires_grad_(False), tokenizer


def _tokenize(tokenizer: Any, text: str, device: torch.device) -> tuple[Tensor, Tensor]:
    encoded = tokenizer([text], return_tensors="pt")
    ids = encoded["input_ids"].to(device)
    mask = encoded["attention_mask"].to(device) if "attention_mask" in encoded else torch.ones_like(ids)
    return ids, mask


def _ask(arguments: argparse.Namespace, model: nn.Module, tokenizer: Any, ids: Tensor, mask: Tensor) -> _Question:
    """The class or token that the user named, or the predicted one."""
    hidden = getattr(tokenizer, "mask_token_id", None)
    places = (ids[0] == hidden).nonzero().flatten().tolist() if hidden is not None else []
    with torch.no_grad():
        prediction = TextModel(model).prediction(ids, mask, None)
        if prediction.of_tokens and places:  # a masked language model
            prediction = TextModel(model).prediction(ids, mask, places[0])
    probabilities = prediction.logits[0].softmax(0)
    if prediction.of_tokens:
        index = _token_index(arguments.target, tokenizer, probabilities)
        label = repr(tokenizer.decode([index]))
        output: targets.Output = "logit" if arguments.logit else "log_probability"
        target = targets.next_token(index, output=output, position=places[0] if places else None)
    else:
        names = _class_names(model, prediction)
        index = _class_index(arguments.target, names, probabilities)
        label = names[index]
        output = "logit" if arguments.logit else "probability"
        target = targets.label(index, output=output)
    return _Question(target, index, printable(label), probabilities[index].item(), output.replace("_", "-"))


def _class_names(model: nn.Module, prediction: Prediction) -> list[str]:
    names = getattr(getattr(model, "config", None), "id2label", None) or {}
    return [str(names.get(k, k)) for k in range(prediction.logits.shape[1])]


def _class_index(text: str | None, names: list[str], probabilities: Tensor) -> int:
    if text is None:
        return int(probabilities.argmax())
    matches = [k for k, name in enumerate(names) if name.lower() == text.lower()]
    if len(matches) == 1:
        return matches[0]
    if not matches and text.isascii() and text.isdigit() and int(text) < len(names):
        return int(text)
    raise CommandError(
        f"--target {text}: expected one of the classes {', '.join(names[:20])}, or an index below {len(names)}."
        f"{did_you_mean(text, names)}"
    )


def _token_index(text: str | None, tokenizer: Any, probabilities: Tensor) -> int:
    if text is None:
        return int(probabilities.argmax())
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        pieces = ", ".join(map(repr, tokenizer.convert_ids_to_tokens(ids)))
        raise CommandError(
            f"--target {text!r}: expected one token of the model's vocabulary, got {len(ids)} ({pieces}). In many "
            "vocabularies a word within a text starts with a space: ' word'."
        )
    return int(ids[0])


def _baseline(text: str, tokenizer: Any) -> int:
    """The id of the token that replaces words."""
    if text == "black":  # the option's default, of images
        known = [getattr(tokenizer, name, None) for name in _BLANKS]
        found = next((index for index in known if index is not None), None)
        if found is None:
            raise CommandError("--baseline: the tokenizer has no mask or padding token; name a token of its vocabulary")
        return int(found)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise CommandError(f"--baseline {text}: expected one token of the vocabulary, got {len(ids)}")
    return int(ids[0])


def _token_scores(
    name: str, function: Any, embedding: Any, special: set[Any], text: TextInputs, steps: int
) -> tuple[Tensor, float | None]:
    """One number per token, and the completeness error of methods that have one."""
    method: Any
    if name == "dig":
        method = DIG(function, embedding, n_words=_DIG_WORDS, special=sorted(special))
        steps = (_DIG_WORDS + 1) * math.ceil(steps / (_DIG_WORDS + 1))
    elif name == "sig":
        method = OneAtATime(IntegratedGradients(function))
    else:
        method = {"ig": IntegratedGradients, "idgi": IDGI, "guided-ig": GuidedIG}[name](function)
    has_delta = name != "sig"
    with warnings.catch_warnings(record=True) as caught, command_errors(TEXT_METHODS[name]):
        warnings.simplefilter("always")
        result = method.attribute(
            **text.arguments(), n_steps=steps, **({"return_convergence_delta": True} if has_delta else {})
        )
    for warning in caught:
        print_error(f"warning: {TEXT_METHODS[name]}: {' '.join(str(warning.message).split())}")
    attributions, delta = result if has_delta else (result, None)
    # IDGI's sum is exact for any number of steps, so its delta says nothing.
    error = None if delta is None or name == "idgi" else abs(delta.item())
    return text.by_token(attributions)[0].double().cpu(), error


def _write(output: Path, tokens: list[str], rows: dict[str, Tensor], title: str) -> None:
    if output.suffix.lower() == ".png":
        from captum_ext.visualization import png
        from captum_ext.visualization.text import draw_text

        content = png(draw_text(tokens, rows, title=title), dpi=150)
    else:
        from captum_ext.visualization.text import text_html

        head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        content = f"{head}<body>{text_html(tokens, rows, title=title)}</body></html>\n".encode()
    write_file(output, content, f"--output {output}")
