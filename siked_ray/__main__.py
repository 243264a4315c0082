"""`python -m siked_ray …` is `siked …`."""

import sys

from siked_ray.cli import main

sys.exit(main())
