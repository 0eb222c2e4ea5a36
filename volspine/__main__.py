"""`python -m volspine`: the same as the `volspine` command."""

import sys

from volspine.cli import main

if __name__ == "__main__":
    sys.exit(main())
