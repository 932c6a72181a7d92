"""Side-by-side cost of every rule against plain backprop; run from the checkout."""
