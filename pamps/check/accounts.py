"""The checks of users and of sign-in."""

from .model import Check, Expected, Group, Json, Kind, Listing, Request, Text, get, post
from .shapes import REFUSED, unauthorized

BIO = "Olá! Aprendi na oficina."
AVATAR = "https://example.com/ana.png"
TOKENS = {"access_token": Kind.text, "refresh_token": Kind.text, "token_type": Kind.bearer}
# Who sees a user without being one.
PUBLIC = {"username": Kind.text, "avatar": Kind.anything, "bio": Kind.anything}
NO_EMAIL = Text(
    "Nobody else should see a user's e-mail address: return a model without it.",
    "Ninguém mais deveria ver o e-mail de um usuário: devolva um modelo sem esse campo.",
)


def _user(name: str, avatar: Json, bio: Json) -> dict[str, object]:
    return {"username": f"{{{name}}}", "avatar": avatar, "bio": bio}


def _sign_up(name: str, **fields: Json) -> Request:
    account = {"email": f"{{{name}}}@example.com", "username": f"{{{name}}}"}
    return post("/user/", json=account | {"password": "{password}"} | fields)  # nosec B105


def _sign_up_minimal(id: str, name: str, title: Text) -> Check:
    """Return the check that somebody can sign up without avatar and bio."""
    return Check(
        id=id,
        group=Group.users,
        title=title,
        request=_sign_up(name),
        demanded=Expected(
            status=("201",),
            body=_user(name, None, None),
            hint=Text(
                "avatar and bio are optional in the request, and null in the response.",
                "avatar e bio são opcionais na requisição, e null na resposta.",
            ),
        ),
        makes=(name,),
        keep={f"{name}_id": "id"},
    )


def _sign_in(id: str, name: str, title: Text) -> Check:
    """Return the check that somebody gets tokens."""
    return Check(
        id=id,
        group=Group.auth,
        title=title,
        request=post("/token", form={"username": f"{{{name}}}", "password": "{password}"}),  # nosec B105
        demanded=Expected(
            status=("200",),
            body=TOKENS,
            hint=Text(
                "POST /token takes a form (not JSON) with username and password, and returns"
                " access_token, refresh_token and token_type.",
                "POST /token recebe um formulário (não JSON) com username e password, e devolve"
                " access_token, refresh_token e token_type.",
            ),
        ),
        keep={f"{name}_token": "access_token", f"{name}_refresh_token": "refresh_token"},
    )


USERS = (
    Check(
        id="sign-up",
        group=Group.users,
        title=Text("Sign up", "Cadastrar um usuário"),
        request=_sign_up("ana", avatar=AVATAR, bio=BIO),
        demanded=Expected(
            status=("201",),
            body=_user("ana", AVATAR, BIO),
            hidden=("password",),
            hint=Text(
                "Expected are 201 and username, avatar and bio, without the password: a response"
                " has a model of its own (UserResponse). Is the URL that of the API, without"
                " /docs?",
                "São esperados 201 e username, avatar e bio, sem a senha: a resposta tem um modelo"
                " próprio (UserResponse). A URL é a da API, sem /docs?",
            ),
        ),
        usual=Expected(status=("201",), hidden=("email",), hint=NO_EMAIL),
        makes=("ana",),
        keep={"ana_id": "id"},
    ),
    _sign_up_minimal(
        "sign-up-minimal",
        "bia",
        Text("Sign up without avatar and bio", "Cadastrar um usuário sem avatar e bio"),
    ),
    _sign_up_minimal(
        "sign-up-third", "caio", Text("Sign up a third user", "Cadastrar um terceiro usuário")
    ),
    Check(
        id="sign-up-again",
        group=Group.users,
        title=Text("Sign up with a name that is taken", "Cadastrar um nome que já existe"),
        request=_sign_up("ana"),
        demanded=Expected(
            status=("4xx", "5xx"),
            hint=Text(
                "username and email are unique: a second user must not be stored.",
                "username e email são únicos: o segundo usuário não pode ser gravado.",
            ),
        ),
        usual=REFUSED,
        needs=("ana",),
    ),
    Check(
        id="profile",
        group=Group.users,
        title=Text("Read a user", "Ver um usuário"),
        request=get("/user/{ana}/"),
        demanded=Expected(
            status=("200",),
            body=_user("ana", AVATAR, BIO),
            hidden=("password",),
            hint=Text(
                "Expected is the user of that name, with username, avatar and bio.",
                "É esperado o usuário com esse nome, com username, avatar e bio.",
            ),
        ),
        usual=Expected(status=("200",), hidden=("email",), hint=NO_EMAIL),
    ),
    Check(
        id="profile-unknown",
        group=Group.users,
        title=Text("Read a user who does not exist", "Ver um usuário que não existe"),
        request=get("/user/{nobody}/"),
        demanded=Expected(status=("404",)),
        usual=Expected(
            status=("404",),
            body={"detail": "User not found"},
            hint=Text(
                "Clients may know the workshop's words for this error.",
                "Clientes podem conhecer as palavras da oficina para este erro.",
            ),
        ),
    ),
    Check(
        id="user-list",
        group=Group.users,
        title=Text("List all users", "Listar todos os usuários"),
        request=get("/user/"),
        demanded=Expected(
            status=("200",),
            body=Listing(each=PUBLIC),
            hidden=("password",),
            hint=Text(
                "Expected is a plain array of users with username, avatar and bio.",
                "É esperada uma lista simples de usuários com username, avatar e bio.",
            ),
        ),
        usual=Expected(
            status=("200",),
            body=Listing(key="username", has=("{ana}", "{bia}")),
            hidden=("email",),
            hint=Text(
                "Both new users should be in the list (in pages, the header Link leads to the next"
                " one), and nobody's e-mail address.",
                "Os dois novos usuários deveriam estar na lista (em páginas, o cabeçalho Link leva"
                " à próxima), e o e-mail de ninguém.",
            ),
        ),
    ),
)

AUTH = (
    _sign_in("sign-in", "ana", Text("Sign in", "Obter os tokens")),
    _sign_in(
        "sign-in-second",
        "bia",
        Text("Sign in as a second", "Obter os tokens do segundo"),
    ),
    _sign_in("sign-in-third", "caio", Text("Sign in as a third", "Obter os tokens do terceiro")),
    Check(
        id="wrong-password",
        group=Group.auth,
        title=Text("Sign in with a wrong password", "Obter os tokens com a senha errada"),
        request=post("/token", form={"username": "{ana}", "password": "not-{password}"}),  # nosec B105
        demanded=Expected(status=("401",)),
        usual=Expected(
            status=("401",),
            body={"detail": "Incorrect username or password"},
            header=("WWW-Authenticate", "Bearer"),
            hint=Text(
                "Clients may know the workshop's words for this error, and HTTP asks for the"
                " header WWW-Authenticate.",
                "Clientes podem conhecer as palavras da oficina para este erro, e o HTTP pede o"
                " cabeçalho WWW-Authenticate.",
            ),
        ),
    ),
    Check(
        id="unknown-user",
        group=Group.auth,
        title=Text("Sign in as nobody", "Obter os tokens de quem não existe"),
        request=post("/token", form={"username": "{nobody}", "password": "{password}"}),  # nosec B105
        demanded=Expected(
            status=("401",),
            hint=Text(
                "The same answer as for a wrong password, which does not tell who has an account.",
                "A mesma resposta da senha errada, que não revela quem tem conta.",
            ),
        ),
    ),
    Check(
        id="refresh",
        group=Group.auth,
        title=Text("Refresh the tokens", "Renovar os tokens"),
        request=post("/refresh_token", json={"refresh_token": "{ana_refresh_token}"}),  # nosec B105
        demanded=Expected(
            status=("200",),
            body=TOKENS,
            hint=Text(
                "POST /refresh_token takes JSON with refresh_token, and returns what POST /token"
                " returns.",
                "POST /refresh_token recebe JSON com refresh_token, e devolve o mesmo que POST"
                " /token.",
            ),
        ),
        keep={"renewed_token": "access_token", "renewed_refresh_token": "refresh_token"},  # nosec B105
    ),
    unauthorized(
        "refresh-invalid",
        Group.auth,
        Text("Refresh with an invalid token", "Renovar com um token inválido"),
        post("/refresh_token", json={"refresh_token": "not-a-token"}),  # nosec B105
    ),
    Check(
        id="refresh-scope",
        group=Group.auth,
        title=Text("Refresh with an access token", "Renovar com um access token"),
        request=post("/refresh_token", json={"refresh_token": "{bia_token}"}),  # nosec B105
        usual=Expected(
            status=("401",),
            hint=Text(
                "The workshop writes scope into its tokens, but does not read it: whoever gets"
                " hold of an access token can renew it again and again.",
                "A oficina grava scope nos tokens, mas não o lê: quem obtém um access token pode"
                " renová-lo sempre de novo.",
            ),
        ),
    ),
)
