"""Mail: written into the database with what it is about, and sent in the background.

See docs/decisions/0027-mail.md.
"""

from pamps.config import ENVIRONMENT, settings

# Whether there are routes that need mail. In development it is printed if there is no server.
ENABLED = bool(settings.mail.host) or ENVIRONMENT == "development"
