"""`python3 -m facenet_training`"""

import sys

from facenet_training.cli import main

if __name__ == "__main__":
    sys.exit(main())
