"""What the papers claim, tested on photographs: runs, their stored results, and the page made of them."""
