"""Infinitely wide networks in each wiring: kernels, predictions, and the one-neuron argument."""
