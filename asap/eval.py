"""asap.evaluate under the name of the original: `python -m asap.eval`."""

from asap.evaluate import main

if __name__ == "__main__":
    main()
