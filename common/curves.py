"""The door of `common.reports.curves`, under the name that one types: test errors of runs in one figure."""

from common.reports.curves import main

if __name__ == "__main__":
    main()
