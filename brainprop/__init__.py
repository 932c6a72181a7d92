"""BrainProp: attention-gated, reward-based learning (Pozzi et al., NeurIPS 2020)."""
