"""The original's name of `s3net.interpretability.fullgrad`."""

from s3net.interpretability.fullgrad import main

if __name__ == "__main__":
    main(prog_name="python -m s3net.interpretability.Interpret_fullgradient")
