"""`python -m servable`, as the console script."""

import sys

from servable.cli import main

sys.exit(main())
