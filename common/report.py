"""The door of `common.reports.compare`, under the name that one types: a page that compares runs."""

from common.reports.compare import main

if __name__ == "__main__":
    main()
