"""What several tables of checks share."""

from .model import Check, Expected, Group, Kind, Request, Text

POST = {
    "id": Kind.integer,
    "text": Kind.text,
    "date": Kind.date,
    "user_id": Kind.integer,
    "parent_id": Kind.anything,
}
# Any answer with which a client can do something, where the workshop does not say which.
ANSWERED = Expected(
    status=("2xx", "4xx"),
    hint=Text(
        "The workshop leaves the status open. 5xx means that an exception was not handled: say"
        " with 2xx or 4xx what happened.",
        "A oficina não define o status. 5xx indica uma exceção que não foi tratada: diga com 2xx"
        " ou 4xx o que aconteceu.",
    ),
)
REFUSED = Expected(
    status=("4xx",),
    hint=Text(
        "The workshop leaves this open. A client expects a refusal with 4xx; 5xx means that an"
        " exception was not handled.",
        "A oficina deixa isto em aberto. O cliente espera uma recusa com 4xx; 5xx indica uma"
        " exceção que não foi tratada.",
    ),
)
UNAUTHORIZED = Expected(
    status=("401",),
    hint=Text(
        "The route must exist, and answer 401 without a valid token: AuthenticatedUser in the"
        " workshop.",
        "A rota precisa existir, e responder 401 sem um token válido: AuthenticatedUser na"
        " oficina.",
    ),
)


def unauthorized(id: str, group: Group, title: Text, request: Request) -> Check:
    """Return the check that a request without a valid token is refused with 401."""
    return Check(id=id, group=group, title=title, request=request, demanded=UNAUTHORIZED)
