"""Where the original program and the paper part ways: every defect a switch (brainprop, 9).

Defects that no switch can show: D1, D2 and D18 kept programs from running, D5 is TensorFlow's
padding, D7 is --val-split, D11 is a name, D12 and D15 cost time and memory, D14 is
`brainprop.tinyimagenet`, D16 is --seed, D17 is a name that -l accepts in both spellings, D20 is
`brainprop.gain_modulation`.
"""

from dataclasses import dataclass

from common.cli.switches import switch


@dataclass(frozen=True)
class Fidelity:
    """The switches of `brainprop.main`."""

    shared_initialiser: bool = switch(
        corrected=False,
        original=False,
        defect="D3",
        effect="one initialiser for all layers, so that kernels of equal shape start equal",
        evidence="Keras 3 draws the same numbers again from one object; TensorFlow's did not",
    )
    bn_variance: str = switch(
        corrected="unbiased",
        original="unbiased",
        choices=("unbiased", "biased"),
        defect="D4",
        effect="the moving variance of batch norm averages N/(N-1) times the batch's; Keras 3 "
        "averages the batch's own",
        evidence="float32 traces; ratio of Keras 2 to Keras 3",
        help="Moving variance of batch norm",
    )
    save_last: bool = switch(
        corrected=False,
        original=True,
        defect="D6",
        effect="-s saves the last epoch's weights under the plain name, not the best one's",
        evidence="restore_best_weights is False where the README promises the best",
    )
    accuracy: str = switch(
        corrected="reward",
        original="argmax",
        choices=("reward", "argmax"),
        defect="D8",
        effect="training accuracy is the argmax of onehot(s) q, which is not s where q_s < 0; "
        "reward is the mean of what was earned",
        evidence="unit_layer_loss, row 0",
        help="What training accuracy counts",
    )
    zero_is_unselected: bool = switch(
        corrected=False,
        original=True,
        defect="D9",
        effect="an action of value exactly 0 teaches nothing: the loss finds the selection by "
        "looking for what is not 0",
        evidence="unit_layer_loss, row 2",
    )
    partial_batch: str = switch(
        corrected="nominal",
        original="nominal",
        choices=("nominal", "mean"),
        defect="D10",
        effect="a smaller last batch is divided by the nominal B, in training and in val_loss; "
        "mean divides by its own n",
        evidence="step 4 of the traces",
        help="BrainProp's divisor of a smaller last batch",
    )
    class_order: str = switch(
        corrected="wnids",
        original="listing",
        choices=("wnids", "listing"),
        defect="D13",
        effect="Tiny ImageNet's classes are numbered as the file system lists their folders, which "
        "differs from machine to machine; wnids.txt numbers them",
        evidence="os.listdir in the loader",
        help="How Tiny ImageNet's classes are numbered",
    )
    third_dropout: float = switch(
        corrected=0.8,
        original=0.8,
        defect="D19",
        effect="deep drops 80 % behind its third pool, which looks like a slip for keeping 80 %",
        evidence="the published numbers come from it",
        help="Dropout behind deep's third pool",
    )
