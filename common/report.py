"""`python -m common.report`: a page that compares runs; the work is in `common.reports.compare`."""

from common.reports.compare import main

if __name__ == "__main__":
    main()
