"""The evidence: claims of the papers, tested on real photographs. Runs, small experiments, and the page they make."""
