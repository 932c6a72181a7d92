"""`python -m common.demo`: every rule on digits, on one page; the work is in
`common.reports.demo`."""

from common.reports.demo import main

if __name__ == "__main__":
    main()
