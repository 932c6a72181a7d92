"""The name that the seed's page promised: `python eval.py --model-file FILE --benchmark mnist`."""

from brainprop.evaluate import main

if __name__ == "__main__":
    main(prog_name="python -m brainprop.eval")
