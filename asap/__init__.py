"""ASAP: activation sharing with asymmetric paths (Woo et al., NeurIPS 2021)."""
