"""Input file: seven convolutions and a fully connected layer on CIFAR-100.

The same as `python -m brainprop.main CIFAR100 deep BrainProp`.
What it leaves out is the pair's recipe; inputs_MNIST.py shows all that may stand here.
"""

dataset = "CIFAR100"
architecture = "deep"
learning_algorithm = "BrainProp"
