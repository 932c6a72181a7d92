"""s3net.tinyimagenet.evaluate under its short name."""

from s3net.tinyimagenet.evaluate import main

if __name__ == "__main__":
    main()
