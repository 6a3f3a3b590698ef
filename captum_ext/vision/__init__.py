"""Image classifiers and pictures, for the command line and the evaluation."""
