"""``python -m captum_ext``: the command line."""

from captum_ext.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
