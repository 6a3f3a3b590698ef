"""Image classifiers and pictures, as the commands and the evaluation take them."""
