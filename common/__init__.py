"""What the five papers share: data, batches, runs, checkpoints, devices, credit, reports."""
