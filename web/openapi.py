"""Print the OpenAPI document, from which `npm run types` makes the client's types of the API."""

import json
import os

# Neither a secret nor a build is needed for it.
os.environ |= {"PAMPS_SECURITY__SECRET_KEY": "x" * 32, "PAMPS_SERVER__web": "false"}

from pamps.app import app

print(json.dumps(app.openapi(), indent=2))
