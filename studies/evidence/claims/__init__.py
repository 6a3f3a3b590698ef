"""The claims, a module for each group of them."""
