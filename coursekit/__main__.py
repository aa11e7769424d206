"""``python -m coursekit`` is ``coursekit``."""

import sys

from .cli import main

sys.exit(main())
