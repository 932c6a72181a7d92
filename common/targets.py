"""`python -m common.targets`: published numbers beside ours; the work is in
`common.reports.targets`."""

from common.reports.targets import main

if __name__ == "__main__":
    main()
