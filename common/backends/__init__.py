"""Devices, and what PyTorch and TensorFlow do differently for a run: one module each."""
