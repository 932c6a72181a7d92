"""Input file: two locally connected layers and a fully connected one on CIFAR-10.

The same as `python -m brainprop.main CIFAR10 loccon BrainProp`.
What it leaves out is the pair's recipe; inputs_MNIST.py shows all that may stand here.
"""

dataset = "CIFAR10"
architecture = "loccon"
learning_algorithm = "BrainProp"
