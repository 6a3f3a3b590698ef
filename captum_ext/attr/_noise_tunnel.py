"""A check for Captum's NoiseTunnel."""

from __future__ import annotations

import sys


def refuse_noise_tunnel() -> None:
    """Raise an error if ``attribute`` is called by Captum's NoiseTunnel, which would average diagnostics.

    Raises:
        ValueError: If a NoiseTunnel calls ``attribute``.
    """
    caller = sys._getframe(2).f_globals.get("__name__", "")
    if caller == "captum.attr._core.noise_tunnel":
        raise ValueError(
            "return_diagnostics: NoiseTunnel averages attributions over noisy inputs, and diagnostics have no average. "
            "Leave it out, or call attribute() of the method itself."
        )
