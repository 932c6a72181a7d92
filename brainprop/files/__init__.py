"""What BrainProp reads and writes: input files, outputs, stored weights."""
