"""BrainProp's rule and networks in PyTorch."""
