"""Input file: seven convolutions and a fully connected layer on Tiny ImageNet.

The same as `python -m brainprop.main TinyImageNet deep BrainProp`.
What it leaves out is the pair's recipe; inputs_MNIST.py shows all that may stand here.
"""

dataset = "TinyImageNet"
architecture = "deep"
learning_algorithm = "BrainProp"
