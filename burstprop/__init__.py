"""Burstprop: burst-dependent plasticity (Payeur et al., Nature Neuroscience 2021)."""
