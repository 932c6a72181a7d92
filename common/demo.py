"""The door of `common.reports.demo`, under the name that one types: every rule on digits, on one page."""

from common.reports.demo import main

if __name__ == "__main__":
    main()
