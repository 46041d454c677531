"""`python -m stream_app` is `kol`."""

import sys

from stream_app.cli.main import main

sys.exit(main())
