"""An application whose import does not end by itself."""

import os
import time
from pathlib import Path

signals = Path(os.environ["STAGE_SIGNALS"])
(signals / "import-entered").write_text(f"{os.getpid()}\n")
while not (signals / "import-open").exists():
    time.sleep(0.01)
