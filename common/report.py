"""The door of `common.reports.compare`, by the name that one types.

It makes a page that compares runs.
"""

from common.reports.compare import main

if __name__ == "__main__":
    main()
