"""`python -m common.curves`: test errors of runs in one figure; the work is in
`common.reports.curves`."""

from common.reports.curves import main

if __name__ == "__main__":
    main()
