"""Input file: two locally connected layers and a fully connected one on MNIST.

The same as `python -m brainprop.main MNIST loccon BrainProp`.
What it leaves out is the pair's recipe; inputs_MNIST.py shows all that may stand here.
"""

dataset = "MNIST"
architecture = "loccon"
learning_algorithm = "BrainProp"
