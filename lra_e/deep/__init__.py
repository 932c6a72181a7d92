"""The study of depth that `lra_e.depth` starts: its runs, and their figure."""
