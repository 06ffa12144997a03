"""`python -m conformance`: run the suite against a server, or compare saved results."""

import sys

from conformance.command import main

if __name__ == "__main__":
    sys.exit(main())
