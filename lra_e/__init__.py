"""LRA-E: local targets through learned error weights (Ororbia & Mali, AAAI 2019)."""
