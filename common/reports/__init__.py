"""Run directories made into figures, pages, tables and verdicts."""
