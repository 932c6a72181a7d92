"""The door of `common.reports.targets`, under the name that one types: published numbers beside ours."""

from common.reports.targets import main

if __name__ == "__main__":
    main()
