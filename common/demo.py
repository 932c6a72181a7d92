"""The door of `common.reports.demo`, by the name that one types.

It trains every rule on digits, on one page.
"""

from common.reports.demo import main

if __name__ == "__main__":
    main()
