"""The door of `common.reports.curves`, by the name that one types.

It makes test errors of runs in one figure.
"""

from common.reports.curves import main

if __name__ == "__main__":
    main()
