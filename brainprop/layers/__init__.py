"""The output layer, locally connected layers and the pass up."""
