"""Input file: seven convolutions and a fully connected layer on CIFAR-10.

The same as `python -m brainprop.main CIFAR10 deep BrainProp`.
What it leaves out is the pair's recipe; inputs_MNIST.py shows all that may stand here.
"""

dataset = "CIFAR10"
architecture = "deep"
learning_algorithm = "BrainProp"
