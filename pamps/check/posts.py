"""The checks of posts."""

from .model import Check, Expected, Group, Json, Listing, Text, get, post
from .shapes import POST, REFUSED, unauthorized

FIRST = "Olá, mundo!"
SECOND = "Segunda postagem: ação, café, 🎉"
NO_REPLIES = Text(
    "Expected is an array with both posts and without replies, whose parent_id is not null.",
    "É esperada uma lista com as duas postagens e sem as respostas, cujo parent_id não é null.",
)


def _write(
    id: str, title: Text, token: str, text: str, parent_id: str | None = None, **keep: str
) -> Check:
    """Return the check that a post, or a reply if there is a parent, can be written."""
    json: dict[str, Json] = {"text": text}
    if parent_id:
        json["parent_id"] = parent_id
    return Check(
        id=id,
        group=Group.posts,
        title=title,
        request=post("/post/", token, json=json),
        demanded=Expected(
            status=("201",),
            body=POST | {"text": text, "parent_id": parent_id},
            hint=Text(
                "Expected are 201 and the post: id, text, date, user_id and parent_id, which is"
                " null unless the post is a reply.",
                "São esperados 201 e a postagem: id, text, date, user_id e parent_id, que é null"
                " se a postagem não é uma resposta.",
            ),
        ),
        keep=keep,
    )


POSTS = (
    unauthorized(
        "write-anonymous",
        Group.posts,
        Text("Write a post without a token", "Criar uma postagem sem token"),
        post("/post/", json={"text": FIRST}),
    ),
    unauthorized(
        "write-invalid-token",
        Group.posts,
        Text("Write a post with an invalid token", "Criar uma postagem com um token inválido"),
        post("/post/", "invalid_token", json={"text": FIRST}),
    ),
    _write(
        "write",
        Text("Write a post", "Criar uma postagem"),
        "ana_token",
        FIRST,
        post_1="id",
        ana_id="user_id",
    ),
    _write(
        "write-renewed",
        Text("Write a post with the renewed token", "Criar uma postagem com o token renovado"),
        "renewed_token",
        SECOND,
        post_2="id",
    ),
    _write(
        "reply",
        Text("Reply to a post", "Responder a uma postagem"),
        "bia_token",
        "Bem-vinda!",
        "{post_1}",
        reply="id",
        bia_id="user_id",
    ),
    _write(
        "reply-own",
        Text("Reply to an own post", "Responder à própria postagem"),
        "ana_token",
        "Obrigada!",
        "{post_1}",
        own_reply="id",
    ),
    _write(
        "write-third",
        Text("Write a post as a third user", "Criar uma postagem do terceiro usuário"),
        "caio_token",
        "Ninguém me segue.",
        post_of_caio="id",
        caio_id="user_id",
    ),
    Check(
        id="author",
        group=Group.posts,
        title=Text("Write in the name of another", "Criar uma postagem em nome de outro"),
        request=post("/post/", "bia_token", json={"text": "Sou a Ana?", "user_id": "{ana_id}"}),
        demanded=Expected(
            status=("201",),
            body=POST | {"user_id": "{bia_id}"},
            hint=Text(
                "The author is the user of the token, whatever user_id the body has.",
                "O autor é o usuário do token, qualquer que seja o user_id enviado.",
            ),
        ),
        keep={"post_of_bia": "id"},
    ),
    Check(
        id="write-nothing",
        group=Group.posts,
        title=Text("Write a post without text", "Criar uma postagem sem texto"),
        request=post("/post/", "ana_token", json={}),
        usual=REFUSED,
    ),
    Check(
        id="reply-unknown",
        group=Group.posts,
        title=Text(
            "Reply to a post that does not exist", "Responder a uma postagem que não existe"
        ),
        request=post("/post/", "bia_token", json={"text": "Oi?", "parent_id": "{no_id}"}),
        usual=REFUSED,
    ),
    Check(
        id="home",
        group=Group.posts,
        title=Text("List the posts", "Listar as postagens"),
        request=get("/post/"),
        demanded=Expected(
            status=("200",),
            body=Listing(
                each=POST | {"parent_id": None}, has=("{post_1}", "{post_2}"), lacks=("{reply}",)
            ),
            hint=NO_REPLIES,
        ),
    ),
    Check(
        id="post",
        group=Group.posts,
        title=Text("Read a post with its replies", "Ver uma postagem com as respostas"),
        request=get("/post/{post_1}/"),
        demanded=Expected(
            status=("200",),
            body=POST
            | {
                "id": "{post_1}",
                "text": FIRST,
                "user_id": "{ana_id}",
                "parent_id": None,
                "replies": Listing(
                    each=POST | {"parent_id": "{post_1}"}, has=("{reply}", "{own_reply}")
                ),
            },
            hint=Text(
                "Expected is the post with an array replies, which has both replies.",
                "É esperada a postagem com uma lista replies, que contém as duas respostas.",
            ),
        ),
    ),
    Check(
        id="post-without-slash",
        group=Group.posts,
        title=Text("The same without the slash at the end", "O mesmo sem a barra no fim"),
        request=get("/post/{post_1}"),
        demanded=Expected(
            status=("200",),
            body=POST | {"id": "{post_1}"},
            hint=Text(
                "The workshop writes the path in both ways: answer to both, or redirect to the"
                " other.",
                "A oficina escreve o caminho das duas formas: responda às duas, ou redirecione"
                " para a outra.",
            ),
        ),
    ),
    Check(
        id="post-unknown",
        group=Group.posts,
        title=Text("Read a post that does not exist", "Ver uma postagem que não existe"),
        request=get("/post/{no_id}/"),
        demanded=Expected(status=("404",)),
        usual=Expected(
            status=("404",),
            body={"detail": "Post not found"},
            hint=Text(
                "Clients may know the workshop's words for this error.",
                "Clientes podem conhecer as palavras da oficina para este erro.",
            ),
        ),
    ),
    Check(
        id="posts-by-user",
        group=Group.posts,
        title=Text("List a user's posts", "Listar as postagens de um usuário"),
        request=get("/post/user/{ana}/"),
        demanded=Expected(
            status=("200",),
            body=Listing(
                each=POST | {"user_id": "{ana_id}", "parent_id": None},
                has=("{post_1}", "{post_2}"),
                lacks=("{own_reply}",),
            ),
            hint=NO_REPLIES,
        ),
        usual=Expected(
            status=("200",),
            body=Listing(has=("{post_1}", "{post_2}"), in_order=True),
            hint=Text(
                "The workshop does not ask for an order, but its tests take the first one of the"
                " list for the oldest.",
                "A oficina não pede uma ordem, mas os testes dela tratam a primeira da lista como"
                " a mais antiga.",
            ),
        ),
    ),
    Check(
        id="posts-by-user-with-replies",
        group=Group.posts,
        title=Text("… with replies", "… com as respostas"),
        request=get("/post/user/{ana}/?include_replies=true"),
        demanded=Expected(
            status=("200",),
            body=Listing(
                each=POST | {"user_id": "{ana_id}"}, has=("{post_1}", "{post_2}", "{own_reply}")
            ),
            hint=Text(
                "With include_replies=true, the user's replies are in the list too.",
                "Com include_replies=true, as respostas do usuário também estão na lista.",
            ),
        ),
    ),
    Check(
        id="posts-by-unknown",
        group=Group.posts,
        title=Text("List the posts of nobody", "Listar as postagens de quem não existe"),
        request=get("/post/user/{nobody}/"),
        usual=Expected(status=("200", "404")),
    ),
)
