"""Train or evaluate, by the original's newer interface or its older one:

python -m brainprop.main MNIST conv BrainProp -s          train, save plot, history and weights
python -m brainprop.main MNIST conv BrainProp -l FILE     evaluate weights on the test set
python -m brainprop.main inputs_MNIST.py                  train what an input file says
python -m brainprop.main inputs_MNIST.py -l               evaluate the weights that it saved
"""

from brainprop.options import MainOptions
from common.cli import command


@command(MainOptions, paper="brainprop", name="main")
def main(options: MainOptions) -> None:
    """Train a network by BrainProp or by error-backprop, or evaluate its weights.

    DATASET is MNIST, CIFAR10, CIFAR100 or TinyImageNet, ARCHITECTURE dense, conv, loccon or deep,
    LEARNING_ALGORITHM BrainProp or EBP. INPUT_FILE holds the same as plain Python variables; it is
    looked for beside you and in the package (inputs_MNIST, inputs_loccon_MNIST, inputs_loccon_C10,
    inputs_loccon_C100, inputs_C10, inputs_C100, inputs_TIN), and it is run as Python: read a
    stranger's first.
    """
    if options.evaluates:
        from brainprop.evaluate import evaluate

        evaluate(options)
    else:
        from brainprop.program import train

        train(options)


if __name__ == "__main__":
    main()
