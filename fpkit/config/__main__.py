"""`python -m fpkit.config`: the JSON schema of `config.yaml`; of files named, the line that is broken."""

import sys

from fpkit.config.problems import ConfigError
from fpkit.config.reading import read_yaml
from fpkit.config.schema import json_schema

try:
    for path in sys.argv[1:]:
        read_yaml(path)
    print(json_schema() if len(sys.argv) == 1 else "well-formed\n", end="")
except ConfigError as error:
    sys.exit(str(error))
