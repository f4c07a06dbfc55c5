"""`python3 -m headwater_update`"""

from __future__ import annotations

import sys

from .program import main

sys.exit(main())
