"""Experiments that are no run of the evaluation; each writes its numbers to ``studies/evidence/results``."""
