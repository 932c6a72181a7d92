"""Input file: two locally connected layers and a fully connected one on CIFAR-10.

The same as `python -m brainprop.main CIFAR10 loccon BrainProp`.
"""

dataset = "CIFAR10"
architecture = "loccon"
learning_algorithm = "BrainProp"

epochs = 500  # at most: training stops 45 epochs after the last improvement
patience = 45
min_delta = 0.001
batch_dim = 32
learning_rate = 0.1
halve_every = 100
epsilon = 0.02  # how often an action is drawn
std = 0.005  # of the first weights
l2 = 0.0
seed = 1

save_plots = False
save_history = False
save_weights = False
