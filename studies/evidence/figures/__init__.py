"""The page's figures, each drawn from stored results; ``None`` where these are missing."""
