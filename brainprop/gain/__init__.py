"""The gain-modulation experiment."""
