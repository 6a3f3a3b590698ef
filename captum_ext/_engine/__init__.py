"""From arguments to attributions: the one loop over path points, step control, evaluation of F, batching."""
