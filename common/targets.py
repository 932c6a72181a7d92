"""The door of `common.reports.targets`, by the name that one types.

It puts our numbers beside the published ones.
"""

from common.reports.targets import main

if __name__ == "__main__":
    main()
