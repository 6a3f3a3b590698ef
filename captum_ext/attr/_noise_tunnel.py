"""What Captum's NoiseTunnel can't average."""

from __future__ import annotations

import sys


def refuse_noise_tunnel() -> None:
    """Refuse diagnostics to Captum's NoiseTunnel, which would take them for attributions.

    Raises:
        ValueError: If a NoiseTunnel calls ``attribute``.
    """
    caller = sys._getframe(2).f_globals.get("__name__", "")
    if caller == "captum.attr._core.noise_tunnel":
        raise ValueError(
            "return_diagnostics: NoiseTunnel averages attributions over noisy inputs, and diagnostics have no average. "
            "Leave it out, or call attribute() of the method itself."
        )
