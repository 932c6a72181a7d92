"""Input file: seven convolutions and a fully connected layer on Tiny ImageNet.

The same as `python -m brainprop.main TinyImageNet deep BrainProp`.
"""

dataset = "TinyImageNet"
architecture = "deep"
learning_algorithm = "BrainProp"

epochs = 500  # at most: training stops 45 epochs after the last improvement
patience = 45
min_delta = 0.001
batch_dim = 128
learning_rate = 0.1
halve_every = 100
epsilon = 0.02  # how often an action is drawn
std = 0.005  # of the first weights
l2 = 5e-4  # of every kernel
seed = 1

save_plots = False
save_history = False
save_weights = False
