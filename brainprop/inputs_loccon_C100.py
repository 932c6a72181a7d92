"""Input file: two locally connected layers and a dense one on CIFAR-100.

The same as `python -m brainprop.main CIFAR100 loccon BrainProp`.
What it leaves out is the pair's recipe; inputs_MNIST.py shows all that may stand here.
"""

dataset = "CIFAR100"
architecture = "loccon"
learning_algorithm = "BrainProp"
