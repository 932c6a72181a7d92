"""What an update is worth: its angle to backprop's gradient, layer by layer."""
