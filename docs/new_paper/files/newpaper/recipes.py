"""What the paper trained with (newpaper, 6). No framework."""

HIDDEN = 500  # units of each of the hidden layers
LAYERS = 2  # hidden ones
BATCH_SIZE = 50
LR = 0.02
MOMENTUM = 0.9
EPOCHS = 30
