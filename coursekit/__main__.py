"""``python -m coursekit`` prints the page to enter by; with arguments it is the command ``coursekit``."""

import sys

import coursekit

from .cli import main

if len(sys.argv) > 1:
    sys.exit(main())
print(coursekit.__doc__)
