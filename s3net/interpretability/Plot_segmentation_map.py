"""The original's name of `s3net.interpretability.segmentation_map`."""

from s3net.interpretability.segmentation_map import main

if __name__ == "__main__":
    main(prog_name="python -m s3net.interpretability.Plot_segmentation_map")
