"""The methods that the command knows by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients, PathAttribution
from captum_ext.cli.errors import CommandError
from captum_ext.paths import BlurPath, GuidedPath


@dataclass(frozen=True)
class Method:
    """A method, how it is called in a figure, and whether it starts from a baseline of the user's."""

    title: str
    make: Callable[[Callable[..., Tensor]], PathAttribution]
    takes_baseline: bool = True


METHODS = {
    "ig": Method("IG", IntegratedGradients),
    "idgi": Method("IDGI", IDGI),
    "blur-ig": Method("Blur IG", BlurIG, takes_baseline=False),
    "blur-ig+idgi": Method("Blur IG + IDGI", lambda f: IDGI(f, BlurPath()), takes_baseline=False),
    "guided-ig": Method("Guided IG", GuidedIG),
    "guided-ig+idgi": Method("Guided IG + IDGI", lambda f: IDGI(f, GuidedPath())),
}


def parse(names: str) -> list[Method]:
    """The methods of a comma-separated list.

    Raises:
        CommandError: If one is unknown.
    """
    chosen = [name.strip().lower() for name in names.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in METHODS]
    if unknown or not chosen:
        raise CommandError(f"--methods {names}: expected some of {','.join(METHODS)}")
    return [METHODS[name] for name in chosen]
