"""The methods that the studies compare, by their names in the evaluation."""

from __future__ import annotations

METHODS = (
    *("random", "gradient", "gradient-x-input", "ig", "idgi", "idg", "pwig", "left-ig"),
    *("guided-ig", "guided-ig+idgi", "samp", "blur-ig", "blur-ig+idgi", "mfaba", "agi", "ig2"),
    *("eig", "ma-gig", "smooth-taylor", "igos", "expected-gradients", "guided-backprop"),
    *("ig+xrai", "idgi+xrai", "blur-ig+idgi+xrai"),
)
